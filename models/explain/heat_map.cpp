#include "models/explain/heat_map.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "engine/base/check.h"
#include "engine/core/formula.h"

namespace dura {

namespace {

void check_map(const HeatMap& map) {
  DURA_CHECK(map.height > 0 && map.width > 0 && static_cast<int64_t>(map.values.size()) == map.height * map.width, "a heat map of ",
             map.height, "x", map.width, " has ", map.values.size(), " values");
}

// Bilinear between the four cells around a place.
float between_cells(const HeatMap& map, const formula::LinearTap<double>& row, const formula::LinearTap<double>& column) {
  const float *upper = map.values.data() + row.low * map.width, *lower = map.values.data() + row.high * map.width;
  const double top = upper[column.low] + column.share * (static_cast<double>(upper[column.high]) - upper[column.low]);
  const double bottom = lower[column.low] + column.share * (static_cast<double>(lower[column.high]) - lower[column.low]);
  return static_cast<float>(top + row.share * (bottom - top));
}

// The middle of pixel i of `size` lies at step * i + first of a side's cells.
void place(int64_t cells, int64_t size, const CellMiddles& middles, double& step, double& first) {
  const double pixels = static_cast<double>(size);
  step = middles.step > 0 ? 1 / (pixels * middles.step) : static_cast<double>(cells) / pixels;
  first = middles.step > 0 ? (0.5 / pixels - middles.first) / middles.step : 0.5 * step - 0.5;
}

}  // namespace

bool HeatMap::has_evidence() const {
  return std::any_of(values.begin(), values.end(), [](float v) { return v > 0; });
}

MapPlacement placement(const HeatMap& map, int64_t height, int64_t width) {
  MapPlacement p;
  place(map.height, height, map.rows, p.row_step, p.first_row);
  place(map.width, width, map.columns, p.column_step, p.first_column);
  return p;
}

namespace {

// The four cells around a place, and what each counts for.
struct CubicTap {
  std::array<int64_t, 4> cells;
  std::array<double, 4> weights;
};

CubicTap cubic_tap(double position, int64_t n) {
  const double low = std::floor(position), t = position - low, u = 1 - t;
  // Of the two nearest cells, at a distance d below 1, and of those beyond.
  const auto near = [](double d) { return (1.5 * d - 2.5) * d * d + 1; };
  CubicTap tap{{}, {-0.5 * t * u * u, near(t), near(u), -0.5 * u * t * t}};
  for (int64_t i = 0; i < 4; ++i) tap.cells[static_cast<size_t>(i)] = std::clamp<int64_t>(static_cast<int64_t>(low) - 1 + i, 0, n - 1);
  return tap;
}

HeatMap resize_cubic(const HeatMap& map, int64_t height, int64_t width) {
  HeatMap out{height, width, {}};
  const MapPlacement at = placement(map, height, width);
  const float least = *std::min_element(map.values.begin(), map.values.end());
  std::vector<CubicTap> columns;
  for (int64_t x = 0; x < width; ++x) columns.push_back(cubic_tap(at.column_step * static_cast<double>(x) + at.first_column, map.width));
  for (int64_t y = 0; y < height; ++y) {
    const CubicTap row = cubic_tap(at.row_step * static_cast<double>(y) + at.first_row, map.height);
    std::vector<double> line(static_cast<size_t>(map.width));
    for (size_t i = 0; i < 4; ++i)
      for (size_t c = 0; c < line.size(); ++c)
        line[c] += row.weights[i] * static_cast<double>(map.values[static_cast<size_t>(row.cells[i] * map.width) + c]);
    for (const CubicTap& column : columns) {
      double v = 0;
      for (size_t i = 0; i < 4; ++i) v += column.weights[i] * line[static_cast<size_t>(column.cells[i])];
      out.values.push_back(v < static_cast<double>(least) ? least : static_cast<float>(v));  // NaN stays: it must not be hidden
    }
  }
  return out;
}

}  // namespace

HeatMap resize(const HeatMap& map, int64_t height, int64_t width) {
  check_map(map);
  if (map.enlarging == Enlarging::cubic) return resize_cubic(map, height, width);
  HeatMap out{height, width, std::vector<float>(static_cast<size_t>(height * width))};
  const MapPlacement at = placement(map, height, width);
  std::vector<formula::LinearTap<double>> columns;
  for (int64_t x = 0; x < width; ++x)
    columns.push_back(formula::linear_tap(at.column_step * static_cast<double>(x) + at.first_column, static_cast<int32_t>(map.width)));
  for (int64_t y = 0; y < height; ++y) {
    const auto row = formula::linear_tap(at.row_step * static_cast<double>(y) + at.first_row, static_cast<int32_t>(map.height));
    for (int64_t x = 0; x < width; ++x)
      out.values[static_cast<size_t>(y * width + x)] = between_cells(map, row, columns[static_cast<size_t>(x)]);
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
  if (map.enlarging == Enlarging::cubic) return peak_of(resize_cubic(map, height, width), height, width);
  const auto at = std::max_element(map.values.begin(), map.values.end()) - map.values.begin();
  const auto pixel = [](int64_t cell, int64_t cells, const CellMiddles& middles, int64_t size) {
    if (middles.step == 0) return (2 * cell + 1) * size / (2 * cells);
    const double middle = (middles.first + static_cast<double>(cell) * middles.step) * static_cast<double>(size);
    return std::clamp<int64_t>(static_cast<int64_t>(middle), 0, size - 1);
  };
  return {pixel(at / map.width, map.height, map.rows, height), pixel(at % map.width, map.width, map.columns, width)};
}

}  // namespace dura
