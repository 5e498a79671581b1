// Pictures made easier to read before they are resized: contrast (CLAHE) and noise (median, salt and pepper).
#pragma once
#include "data/image/image.h"

namespace dura {

// Contrast-limited adaptive histogram equalisation: a grey level map per tile of the picture, its slope limited, blended between tiles.
// K. Zuiderveld, "Contrast limited adaptive histogram equalization", Graphics Gems IV (1994); in every detail as OpenCV's createCLAHE does
// it for 8 bits, so that figures can be compared.

struct ClaheOptions {
  double clip_limit = 2.0;           // times the mean count of a histogram bin; 0: no limit
  int64_t tiles_y = 8, tiles_x = 8;  // tiles down and across, 1 to 256
};

// Each channel by itself. UsageError for options outside of what is stated above.
Image clahe(const Image& image, const ClaheOptions& options = {});
void check_options(const ClaheOptions& options);

// The median of each pixel's square neighbourhood, edges repeated, as OpenCV's medianBlur: removes single wrong pixels, and rounds corners.
// width: of the square, odd, 3 to 15 pixels. Each channel by itself.
Image median_filter(const Image& image, int64_t width);

// Salt-and-pepper noise: single pixels at 0 or 255 that have nothing to do with the picture. The filter decides first which pixels are
// noise and touches no other, so that it costs no detail (switching median; after T. Sun and Y. Neuvo, "Detail-preserving median based
// filters in image processing", Pattern Recognition Letters 15, 1994). A pixel at an extreme of the scale is noise where it stands alone:
// black background and saturated vessels have neighbours like themselves and stay as they are.
// A noise pixel becomes the median of its neighbours that are not at an extreme, in the smallest square (3x3 to 7x7) that has some; where
// none has, it stays. Each channel by itself.
Image remove_salt_and_pepper(const Image& image);

}  // namespace dura
