// The median of each pixel's square neighbourhood, edges repeated, as OpenCV's medianBlur: removes single wrong pixels, and rounds corners.
#pragma once
#include "data/image/image.h"

namespace dura {

// width: of the square, odd, 3 to 15 pixels. Each channel by itself.
Image median_filter(const Image& image, int64_t width);

}  // namespace dura
