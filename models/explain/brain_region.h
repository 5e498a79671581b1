// Where the brain is in a slice, and guesses at a lesion that need no network: what a heat map must beat before it says anything.
#pragma once
#include "models/explain/heat_map.h"
#include "data/image/image.h"

namespace dura {

// 255 where the head is: brighter than a tenth of the 99th percentile, and what lies between such pixels in its row and in its column.
Image head_region(const Image& gray);

// Centre of mass; of the picture where the region is empty.
Pixel centre_of(const Image& region);
// A bell around the centre with a standard deviation of an eighth of the shorter side.
HeatMap centre_guess(const Image& region);
// Inside of the region, how much brighter than its darkest place the mean of a window of a twelfth of the shorter side is; 0 outside.
HeatMap brightness_guess(const Image& gray, const Image& region);

}  // namespace dura
