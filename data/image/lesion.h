// The size of a lesion, from its mask.
#pragma once
#include <cstdint>

#include "data/image/image.h"

namespace dura {

struct LesionSize {
  int64_t pixels = 0;          // inside of the mask; 0: no lesion, and everything else is 0
  double row = 0, column = 0;  // centroid, in pixels, (0,0) the centre of the first pixel
  double area_mm2 = 0;         // 0 where the pixel size is not known
  double diameter_mm = 0;      // of the circle of the same area: 2 sqrt(area / pi)
  double extent_mm = 0;        // largest distance of two of its pixels' centres, plus one pixel
};

// The mask has one channel, not zero inside. `mm_per_pixel` is the side of its pixels; 0: not known.
LesionSize measure_lesion(const Image& mask, double mm_per_pixel);

}  // namespace dura
