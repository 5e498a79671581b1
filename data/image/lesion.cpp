#include "data/image/lesion.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

namespace dura {
namespace {

// The largest distance of two pixels' centres. Only the ends of each row can be part of such a pair.
double largest_distance(const Image& mask) {
  std::vector<std::array<double, 2>> ends;
  for (int64_t r = 0; r < mask.height; ++r) {
    int64_t first = 0, last = mask.width - 1;
    while (first <= last && mask.at(r, first) == 0) ++first;
    while (last >= first && mask.at(r, last) == 0) --last;
    if (first > last) continue;
    ends.push_back({static_cast<double>(r), static_cast<double>(first)});
    ends.push_back({static_cast<double>(r), static_cast<double>(last)});
  }
  double largest = 0;
  for (size_t i = 0; i < ends.size(); ++i)
    for (size_t k = 0; k < i; ++k) largest = std::max(largest, std::hypot(ends[i][0] - ends[k][0], ends[i][1] - ends[k][1]));
  return largest;
}

}  // namespace

LesionSize measure_lesion(const Image& mask, double mm_per_pixel) {
  DURA_CHECK(mask.channels == 1, "measure_lesion: a mask has one channel, this one has ", mask.channels);
  LesionSize size;
  for (int64_t r = 0; r < mask.height; ++r)
    for (int64_t c = 0; c < mask.width; ++c) {
      if (mask.at(r, c) == 0) continue;
      size.row += static_cast<double>(r);
      size.column += static_cast<double>(c);
      ++size.pixels;
    }
  if (size.pixels == 0) return size;
  const double count = static_cast<double>(size.pixels);
  size.row /= count;
  size.column /= count;
  size.area_mm2 = count * mm_per_pixel * mm_per_pixel;
  size.extent_mm = (largest_distance(mask) + 1) * mm_per_pixel;
  size.diameter_mm = 2 * std::sqrt(size.area_mm2 / std::numbers::pi);
  return size;
}

}  // namespace dura
