// How alike heat maps are: against SciPy and the definition, and at the ends of the scales.
#include "tests/support/catch.h"

#include <cmath>

#include "models/explain/sanity_check.h"
#include "tests/support/named_values.h"

using namespace dura;

namespace {

HeatMap map_of(int64_t height, int64_t width, const std::vector<double>& values) {
  return {height, width, std::vector<float>(values.begin(), values.end())};
}

}  // namespace

TEST_CASE("rank correlation with ties is SciPy's", "[apps][heat_maps]") {
  const test::NamedValues golden = test::read_named_values("heat_maps.txt");
  const HeatMap a = map_of(7, 9, golden.at("rank_a")), b = map_of(7, 9, golden.at("rank_b"));
  CHECK(rank_correlation(a, b) == Approx(golden.at("rank_correlation")[0]).epsilon(1e-12));
  CHECK(rank_correlation(b, a) == rank_correlation(a, b));
  CHECK(rank_correlation(a, a) == Approx(1));
  HeatMap other = a;
  for (float& v : other.values) v = -std::exp(v);
  CHECK(rank_correlation(a, other) == Approx(-1));
  CHECK(rank_correlation(a, map_of(7, 9, std::vector<double>(63, 2.0))) == 0);
  CHECK_THROWS(rank_correlation(a, map_of(9, 7, golden.at("rank_b"))));
}

TEST_CASE("structural similarity is the mean of its definition over windows", "[apps][heat_maps]") {
  const test::NamedValues golden = test::read_named_values("heat_maps.txt");
  const HeatMap x = map_of(12, 10, golden.at("ssim_x")), y = map_of(12, 10, golden.at("ssim_y"));
  CHECK(structural_similarity(x, y) == Approx(golden.at("ssim")[0]).epsilon(1e-6));
  CHECK(structural_similarity(x, x) == Approx(1));
  const HeatMap rising = map_of(2, 2, {0, 0.25, 0.5, 1}), falling = map_of(2, 2, {1, 0.5, 0.25, 0});
  CHECK(structural_similarity(rising, rising) == Approx(1));
  CHECK(structural_similarity(rising, falling) < -0.5);
  CHECK_THROWS(structural_similarity(x, rising));
}
