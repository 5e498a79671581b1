// Intervals over patients.
#include "tests/support/catch.h"

#include <cmath>

#include "apps/metrics/significance.h"
#include "engine/base/check.h"
#include "engine/base/parallel.h"

using namespace dura;

namespace {

// The mean of `x` over drawn rows.
auto mean_of(const std::vector<double>& x) {
  return [x](const std::vector<double>& counts) {
    double sum = 0, rows = 0;
    for (size_t i = 0; i < x.size(); ++i) sum += counts[i] * x[i], rows += counts[i];
    return std::vector<double>{sum / rows};
  };
}

}  // namespace

TEST_CASE("the rows of a patient are drawn together, as many patients as there are", "[evaluation]") {
  const Bootstrap bootstrap({"a", "b", "a", "c", "b"}, {.resamples = 50});
  CHECK(bootstrap.units() == 3);
  bool somebody_twice = false;
  for (const std::vector<double>& counts : bootstrap.draw([](const std::vector<double>& drawn) { return drawn; })) {
    CHECK(counts[0] == counts[2]);
    CHECK(counts[1] == counts[4]);
    CHECK(counts[0] + counts[1] + counts[3] == 3);
    somebody_twice = somebody_twice || counts[0] == 2;
  }
  CHECK(somebody_twice);
}

TEST_CASE("intervals of a mean are those of theory, and wider when few patients have many rows", "[evaluation]") {
  std::vector<double> x;
  std::vector<std::string> alone, in_patients;
  for (int i = 0; i < 400; ++i) {
    x.push_back(i / 20 % 2);  // the 20 rows of a patient are alike
    alone.push_back(std::to_string(i));
    in_patients.push_back(std::to_string(i / 20));
  }
  const Interval rows = Bootstrap(alone, {.resamples = 1000, .seed = 3}).intervals(1, mean_of(x))[0];
  CHECK(rows.low == Approx(0.5 - 1.96 * 0.5 / 20).margin(0.008));
  CHECK(rows.high == Approx(0.5 + 1.96 * 0.5 / 20).margin(0.008));
  const Interval patients = Bootstrap(in_patients, {.resamples = 1000, .seed = 3}).intervals(1, mean_of(x))[0];
  CHECK(patients.high - patients.low == Approx(2 * 1.96 * 0.5 / std::sqrt(20.0)).margin(0.06));
}

TEST_CASE("the seed gives the interval, whatever the number of threads", "[evaluation]") {
  const std::vector<std::string> units = {"a", "b", "c", "d", "e", "f", "g"};
  const std::vector<double> x = {1, 5, 2, 8, 3, 9, 4.5};
  const auto draws = [&](uint64_t seed) { return Bootstrap(units, {.resamples = 40, .seed = seed}).draw(mean_of(x)); };
  const int threads = num_threads();
  set_num_threads(1);
  const auto one = draws(1);
  set_num_threads(3);
  CHECK(draws(1) == one);
  CHECK(draws(2) != one);
  set_num_threads(threads);
}

TEST_CASE("there is no interval for one patient, nor for a score that most draws do not have", "[evaluation]") {
  const Interval single = Bootstrap({"a", "a", "a"}, {.resamples = 10}).intervals(1, mean_of({1, 2, 3}))[0];
  CHECK(std::isnan(single.low));
  CHECK(std::isnan(single.high));
  CHECK(std::isnan(percentile_interval({1, NAN, NAN}, 0.95).low));
  CHECK(percentile_interval({1, 2, NAN}, 0.5).low == Approx(1.25));  // NumPy: quantile([1, 2], 0.25)
  CHECK(percentile_interval({1, 2, NAN}, 0.5).high == Approx(1.75));
  CHECK(std::isnan(percentile_interval({}, 0.95).low));
  CHECK_THROWS_AS(Bootstrap({"a"}, {.resamples = 0}), Error);
}
