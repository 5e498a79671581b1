#include "models/explain/brain_region.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace dura {

Image head_region(const Image& gray) {
  DURA_CHECK(gray.channels == 1, "head region: a gray picture is expected, got ", gray.channels, " channels");
  std::array<int64_t, 256> histogram{};
  for (uint8_t v : gray.pixels) ++histogram[v];
  int64_t above = 0, p99 = 255;
  while (p99 > 0 && (above += histogram[static_cast<size_t>(p99)]) * 100 < static_cast<int64_t>(gray.pixels.size())) --p99;
  const double threshold = static_cast<double>(p99) / 10;
  const int64_t H = gray.height, W = gray.width;
  struct Extent {
    int64_t first, last;
    bool holds(int64_t i) const { return i >= first && i <= last; }
  };
  std::vector<Extent> rows(static_cast<size_t>(H), {W, -1}), columns(static_cast<size_t>(W), {H, -1});
  for (int64_t r = 0; r < H; ++r)
    for (int64_t c = 0; c < W; ++c) {
      if (gray.at(r, c) <= threshold) continue;
      Extent &row = rows[static_cast<size_t>(r)], &column = columns[static_cast<size_t>(c)];
      row = {std::min(row.first, c), c};
      column = {std::min(column.first, r), r};
    }
  Image region(H, W, 1);
  for (int64_t r = 0; r < H; ++r)
    for (int64_t c = 0; c < W; ++c)
      region.at(r, c) = rows[static_cast<size_t>(r)].holds(c) && columns[static_cast<size_t>(c)].holds(r) ? 255 : 0;
  return region;
}

Pixel centre_of(const Image& region) {
  double rows = 0, columns = 0, count = 0;
  for (int64_t r = 0; r < region.height; ++r)
    for (int64_t c = 0; c < region.width; ++c)
      if (region.at(r, c)) rows += static_cast<double>(r), columns += static_cast<double>(c), count += 1;
  if (count == 0) return {region.height / 2, region.width / 2};
  return {static_cast<int64_t>(std::lround(rows / count)), static_cast<int64_t>(std::lround(columns / count))};
}

HeatMap centre_guess(const Image& region) {
  const Pixel centre = centre_of(region);
  const double deviation = static_cast<double>(std::min(region.height, region.width)) / 8;
  HeatMap map{region.height, region.width, {}};
  for (int64_t r = 0; r < region.height; ++r)
    for (int64_t c = 0; c < region.width; ++c) {
      const double y = static_cast<double>(r - centre.row) / deviation, x = static_cast<double>(c - centre.column) / deviation;
      map.values.push_back(static_cast<float>(std::exp(-(x * x + y * y) / 2)));
    }
  return map;
}

HeatMap brightness_guess(const Image& gray, const Image& region) {
  const int64_t H = gray.height, W = gray.width, half = std::max<int64_t>(1, std::min(H, W) / 24);
  // Sums over rectangles by an integral image.
  std::vector<int64_t> integral(static_cast<size_t>((H + 1) * (W + 1)));
  const auto at = [&](int64_t r, int64_t c) -> int64_t& { return integral[static_cast<size_t>(r * (W + 1) + c)]; };
  for (int64_t r = 0; r < H; ++r)
    for (int64_t c = 0; c < W; ++c) at(r + 1, c + 1) = at(r, c + 1) + at(r + 1, c) - at(r, c) + gray.at(r, c);
  HeatMap map{H, W, std::vector<float>(static_cast<size_t>(H * W))};
  float darkest = 255;
  for (int64_t r = 0; r < H; ++r)
    for (int64_t c = 0; c < W; ++c) {
      if (!region.at(r, c)) continue;
      const int64_t r0 = std::max<int64_t>(0, r - half), r1 = std::min(H, r + half + 1), c0 = std::max<int64_t>(0, c - half),
                    c1 = std::min(W, c + half + 1);
      const double sum = static_cast<double>(at(r1, c1) - at(r0, c1) - at(r1, c0) + at(r0, c0));
      const float mean = static_cast<float>(sum / static_cast<double>((r1 - r0) * (c1 - c0)));
      map.values[static_cast<size_t>(r * W + c)] = mean;
      darkest = std::min(darkest, mean);
    }
  for (size_t i = 0; i < map.values.size(); ++i)
    if (region.pixels[i]) map.values[i] -= darkest;
  return map;
}

}  // namespace dura
