// Salt-and-pepper noise: single pixels at 0 or 255 that have nothing to do with the picture. The filter decides first which pixels are
// noise and touches no other, so that it costs no detail (switching median; after T. Sun and Y. Neuvo, "Detail-preserving median based
// filters in image processing", Pattern Recognition Letters 15, 1994). A pixel at an extreme of the scale is noise where it stands alone:
// black background and saturated vessels have neighbours like themselves and stay as they are.
#pragma once
#include "data/image/image.h"

namespace dura {

// A noise pixel becomes the median of its neighbours that are not at an extreme, in the smallest square (3x3 to 7x7) that has some; where
// none has, it stays. Each channel by itself.
Image remove_salt_and_pepper(const Image& image);

}  // namespace dura
