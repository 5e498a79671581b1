#include "models/explain/map_similarity.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/base/check.h"

namespace dura {

namespace {

void check_same_size(const HeatMap& a, const HeatMap& b) {
  DURA_CHECK(a.height == b.height && a.width == b.width && !a.values.empty(), "heat maps of ", a.height, "x", a.width, " and ", b.height,
             "x", b.width, " were compared");
}

// From 1; equal values share the mean of their ranks.
std::vector<double> ranks(const std::vector<float>& values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t i, size_t j) { return values[i] < values[j]; });
  std::vector<double> rank(values.size());
  for (size_t first = 0, end = 0; first < order.size(); first = end) {
    while (end < order.size() && values[order[end]] == values[order[first]]) ++end;
    for (size_t k = first; k < end; ++k) rank[order[k]] = static_cast<double>(first + end + 1) / 2;
  }
  return rank;
}

}  // namespace

double rank_correlation(const HeatMap& a, const HeatMap& b) {
  check_same_size(a, b);
  const std::vector<double> x = ranks(a.values), y = ranks(b.values);
  const double mean = static_cast<double>(x.size() + 1) / 2;
  double xx = 0, yy = 0, xy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    xx += (x[i] - mean) * (x[i] - mean);
    yy += (y[i] - mean) * (y[i] - mean);
    xy += (x[i] - mean) * (y[i] - mean);
  }
  return xx > 0 && yy > 0 ? xy / std::sqrt(xx * yy) : 0;
}

double structural_similarity(const HeatMap& a, const HeatMap& b) {
  check_same_size(a, b);
  const int64_t rows = std::min<int64_t>(7, a.height), columns = std::min<int64_t>(7, a.width);
  const auto n = static_cast<double>(rows * columns);
  constexpr double c1 = 0.01 * 0.01, c2 = 0.03 * 0.03;
  double sum = 0;
  for (int64_t top = 0; top + rows <= a.height; ++top)
    for (int64_t left = 0; left + columns <= a.width; ++left) {
      double x = 0, y = 0, xx = 0, yy = 0, xy = 0;
      for (int64_t r = top; r < top + rows; ++r)
        for (int64_t c = left; c < left + columns; ++c) {
          const double u = a.values[static_cast<size_t>(r * a.width + c)], v = b.values[static_cast<size_t>(r * a.width + c)];
          x += u, y += v, xx += u * u, yy += v * v, xy += u * v;
        }
      x /= n, y /= n;
      const double divisor = std::max(1.0, n - 1), vx = (xx - n * x * x) / divisor, vy = (yy - n * y * y) / divisor,
                   vxy = (xy - n * x * y) / divisor;
      sum += (2 * x * y + c1) * (2 * vxy + c2) / ((x * x + y * y + c1) * (vx + vy + c2));
    }
  return sum / static_cast<double>((a.height - rows + 1) * (a.width - columns + 1));
}

}  // namespace dura
