#include "data/lesion.h"

#include <algorithm>
#include <cmath>

namespace dura {

LesionSize measure_lesion(const Image& mask, double mm_per_pixel) {
  DURA_CHECK(mask.channels == 1, "measure_lesion: a mask has one channel, this one has ", mask.channels);
  LesionSize size;
  for (int64_t r = 0; r < mask.height; ++r)
    for (int64_t c = 0; c < mask.width; ++c) {
      if (mask.at(r, c) == 0) continue;
      size.top = size.pixels ? std::min(size.top, r) : r;
      size.left = size.pixels ? std::min(size.left, c) : c;
      size.bottom = std::max(size.bottom, r);
      size.right = std::max(size.right, c);
      size.row += static_cast<double>(r);
      size.column += static_cast<double>(c);
      ++size.pixels;
    }
  if (size.pixels == 0) return size;
  const double count = static_cast<double>(size.pixels);
  size.row /= count;
  size.column /= count;
  size.area_mm2 = count * mm_per_pixel * mm_per_pixel;
  size.diameter_mm = 2 * std::sqrt(size.area_mm2 / 3.14159265358979323846);
  return size;
}

}  // namespace dura
