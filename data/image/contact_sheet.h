// Many small pictures on one, to be looked at.
#pragma once
#include <cstdint>
#include <vector>

#include "data/image/image.h"

namespace dura {

// Pictures of one size in rows of `columns`, `gap` black pixels between them. Color where any picture has color. At least one picture.
Image contact_sheet(const std::vector<Image>& pictures, int64_t columns, int64_t gap = 2);

// `picture` in color with the border of `mask` (what is not zero, same extent) drawn in yellow: the mask's pixels with a neighbour outside.
Image outlined(const Image& picture, const Image& mask);

}  // namespace dura
