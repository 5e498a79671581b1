// What can be measured on a slice without knowing what it shows, to ask what wrongly classified slices have in common.
#pragma once
#include <cstdint>

#include "data/image/image.h"

namespace dura {

// The head is what the dark background does not reach from the picture's edge. Its inner part lies deeper than 8 % of the head's diameter,
// that is inside of scalp and skull. Grey levels are 0 to 255. All NaN, 0 and false where there is no inner part (a black picture).
struct PictureFeatures {
  double mean_intensity = 0;  // of the inner part
  double brightness = 0;      // the grey level that 1 % of the inner part exceeds
  int64_t bright_spots =
      0;  // regions of the inner part above mean + 3 standard deviations, 2 pixels to 0.2 % of it: as calcifications, and vessels, look
  bool bright_at_border = false;  // a region above mean + 2 standard deviations, at least 0.5 % of the inner part, reaches its edge
};

PictureFeatures measure_picture(const Image& slice);

}  // namespace dura
