// Words in pictures: capital letters, digits and a few signs, five by seven pixels each, so that a sheet of heat maps explains itself
// wherever it is shown.
#pragma once
#include <string_view>

#include "data/image/color_map.h"
#include "data/image/image.h"

namespace dura {

constexpr int64_t pixel_text_height = 7;
int64_t pixel_text_width(std::string_view text);  // 6 a character, less the last gap

// Small letters become capitals, characters without a form a box; what does not fit into the picture is cut. The picture must be RGB.
void draw_text(Image& image, int64_t top, int64_t left, std::string_view text, Color color);

}  // namespace dura
