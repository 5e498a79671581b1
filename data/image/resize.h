// Changing the number of pixels. Slices are shrunk with an antialiasing filter, so that thin bright structures do not flicker in and out of
// a coarse grid; a network's accuracy depends on the filter it was trained with, and that is PIL's.
#pragma once
#include "data/image/image.h"

namespace dura {

// Triangle filter, widened by the scale when shrinking, horizontally and then vertically, each pass rounded to 8 bits, in the fixed-point
// arithmetic of Pillow's Image.resize(..., BILINEAR): equal to it in every grey level for square pictures, within one for others, where
// recent versions of Pillow may take the vertical pass first. Any channels; aspect is not kept.
Image resize_bilinear(const Image& image, int64_t height, int64_t width);

// The pixel under each output pixel's centre: for masks, whose values must not be mixed. Equal to Pillow's NEAREST.
Image resize_nearest(const Image& image, int64_t height, int64_t width);

}  // namespace dura
