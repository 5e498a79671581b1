#include "apps/report/heat_map.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "engine/check.h"

namespace dura {

namespace {

void check_map(const HeatMap& map) {
  DURA_CHECK(map.height > 0 && map.width > 0 && static_cast<int64_t>(map.values.size()) == map.height * map.width, "a heat map of ",
             map.height, "x", map.width, " has ", map.values.size(), " values");
}

// Where an output pixel's centre lies between two input pixels.
struct Tap {
  int64_t first, second;
  double weight;  // of the second
};

std::vector<Tap> taps(int64_t in, int64_t out, const CellMiddles& middles) {
  std::vector<Tap> result;
  for (int64_t i = 0; i < out; ++i) {
    const double pixel = static_cast<double>(i) + 0.5;
    const double at = middles.step > 0 ? (pixel / static_cast<double>(out) - middles.first) / middles.step
                                       : pixel * static_cast<double>(in) / static_cast<double>(out) - 0.5;
    const double floor = std::floor(at);
    const int64_t first = static_cast<int64_t>(floor);
    result.push_back({std::clamp<int64_t>(first, 0, in - 1), std::clamp<int64_t>(first + 1, 0, in - 1), at - floor});
  }
  return result;
}

}  // namespace

bool HeatMap::has_evidence() const {
  return std::any_of(values.begin(), values.end(), [](float v) { return v > 0; });
}

HeatMap resize(const HeatMap& map, int64_t height, int64_t width) {
  check_map(map);
  HeatMap out{height, width, std::vector<float>(static_cast<size_t>(height * width))};
  const std::vector<Tap> rows = taps(map.height, height, map.rows), columns = taps(map.width, width, map.columns);
  for (int64_t y = 0; y < height; ++y) {
    const Tap& r = rows[static_cast<size_t>(y)];
    const float* above = map.values.data() + r.first * map.width;
    const float* below = map.values.data() + r.second * map.width;
    for (int64_t x = 0; x < width; ++x) {
      const Tap& c = columns[static_cast<size_t>(x)];
      const double top = above[c.first] + c.weight * (static_cast<double>(above[c.second]) - above[c.first]);
      const double bottom = below[c.first] + c.weight * (static_cast<double>(below[c.second]) - below[c.first]);
      out.values[static_cast<size_t>(y * width + x)] = static_cast<float>(top + r.weight * (bottom - top));
    }
  }
  return out;
}

HeatMap normalise(const HeatMap& map) {
  check_map(map);
  for (const float v : map.values)
    DURA_CHECK(std::isfinite(v), "a heat map holds ", v, "; the network's weights are damaged or have diverged");
  const auto [low, high] = std::minmax_element(map.values.begin(), map.values.end());
  const double least = *low, range = 1e-7 + (static_cast<double>(*high) - least);
  HeatMap out = map;
  for (float& v : out.values) v = static_cast<float>((v - least) / range);
  return out;
}

double otsu_threshold(const std::vector<float>& values) {
  DURA_CHECK(!values.empty(), "Otsu's threshold of no values was asked for");
  constexpr int levels = 256;
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  const double least = *low, range = static_cast<double>(*high) - least;
  if (!(range > 0)) return *high;
  std::array<double, levels> count{};
  for (const float v : values) ++count[static_cast<size_t>(std::lround((v - least) / range * (levels - 1)))];
  double total = static_cast<double>(values.size()), sum = 0;
  for (int i = 0; i < levels; ++i) sum += i * count[static_cast<size_t>(i)];
  double below = 0, sum_below = 0, best = -1;
  int threshold = 0;
  for (int i = 0; i < levels - 1; ++i) {
    below += count[static_cast<size_t>(i)];
    sum_below += i * count[static_cast<size_t>(i)];
    if (below == 0 || below == total) continue;
    const double distance = sum_below / below - (sum - sum_below) / (total - below),
                 between = below * (total - below) * distance * distance;
    if (between > best) best = between, threshold = i;
  }
  return least + (threshold + 0.5) / (levels - 1) * range;
}

Pixel peak_of(const HeatMap& map, int64_t height, int64_t width) {
  check_map(map);
  const auto at = std::max_element(map.values.begin(), map.values.end()) - map.values.begin();
  const auto pixel = [](int64_t cell, int64_t cells, const CellMiddles& middles, int64_t extent) {
    if (middles.step == 0) return (2 * cell + 1) * extent / (2 * cells);
    const double middle = (middles.first + static_cast<double>(cell) * middles.step) * static_cast<double>(extent);
    return std::clamp<int64_t>(static_cast<int64_t>(middle), 0, extent - 1);
  };
  return {pixel(at / map.width, map.height, map.rows, height), pixel(at % map.width, map.width, map.columns, width)};
}

}  // namespace dura
