// Brier score, reliability, calibration error and temperature against scikit-learn and SciPy (tests/golden/make_metrics.py).
#include "tests/support/catch.h"

#include <cmath>
#include <limits>

#include "apps/metrics/metrics.h"
#include "apps/evaluation/adjusted_predictions.h"
#include "tests/support/named_values.h"

using namespace dura;
using namespace dura::test;
using Catch::Contains;

namespace {

std::vector<bool> booleans(const std::vector<double>& v) { return std::vector<bool>(v.begin(), v.end()); }
Approx close(double v) { return Approx(v).epsilon(1e-12).margin(1e-15); }

}  // namespace

TEST_CASE("Brier score, reliability bins and calibration error are scikit-learn's", "[evaluation]") {
  auto golden = read_named_values("metrics.txt");
  for (const std::string name : {"tied", "distinct"}) {
    INFO(name);
    const std::vector<bool> positive = booleans(golden[name + "_positive"]);
    const std::vector<double>&scores = golden[name + "_scores"], &expected = golden[name + "_reliability"];
    CHECK(brier_score(positive, scores) == close(golden[name + "_brier"].at(0)));
    const std::vector<ReliabilityBin> bins = reliability_bins(positive, scores);
    REQUIRE(bins.size() == 10);
    size_t k = 0;
    int64_t rows = 0;
    for (const ReliabilityBin& b : bins) {
      rows += b.count;
      CHECK(b.high - b.low == Approx(0.1));
      if (b.count == 0) {  // scikit-learn leaves these out
        CHECK(std::isnan(b.share_positive));
        continue;
      }
      REQUIRE(2 * k + 1 < expected.size());
      CHECK(b.mean_probability == close(expected[2 * k]));
      CHECK(b.share_positive == close(expected[2 * k + 1]));
      ++k;
    }
    CHECK(2 * k == expected.size());
    CHECK(rows == 40);
    CHECK(expected_calibration_error(bins) == close(golden[name + "_calibration_error"].at(0)));
  }
}

TEST_CASE("a bin holds its upper edge, and the first one 0", "[evaluation]") {
  const std::vector<ReliabilityBin> bins = reliability_bins({true, false, true, false}, {0, 0.5, 0.500001, 1}, 2);
  REQUIRE(bins.size() == 2);
  CHECK(bins[0].count == 2);
  CHECK(bins[1].count == 2);
  CHECK(bins[0].share_positive == 0.5);
}

TEST_CASE("calibration of nothing, of a diverged network, and of what is no probability", "[evaluation]") {
  CHECK(std::isnan(brier_score({}, {})));
  CHECK(std::isnan(expected_calibration_error(reliability_bins({}, {}))));
  CHECK(reliability_bins({true}, {std::nan("")}).empty());
  CHECK(std::isnan(brier_score({true}, {std::nan("")})));
  CHECK_THROWS_WITH(reliability_bins({true}, {1.5}), Contains("1.5"));
  CHECK_THROWS_AS(reliability_bins({true}, {0.5, 0.5}), Error);
  CHECK_THROWS_AS(reliability_bins({true}, {0.5}, 0), Error);
}

TEST_CASE("the temperature is the one of the smallest log loss, and moves no decision", "[evaluation]") {
  auto golden = read_named_values("metrics.txt");
  const std::vector<double>& logits = golden["overconfident_logits"];
  const std::vector<int32_t> labels(golden["overconfident_labels"].begin(), golden["overconfident_labels"].end());
  const Temperature t = fit_temperature(labels, logits, 2);
  CHECK(t.value == Approx(golden["temperature"].at(0)).epsilon(1e-6));  // as exact as SciPy's search of a flat minimum is
  CHECK_FALSE(t.at_bound);
  const auto loss = [&](double value) {
    const Predictions p = with_temperature({.classes = 2, .samples = {}, .labels = labels, .logits = logits, .probabilities = {}}, value);
    CHECK(argmax_rows(p.probabilities, 2) == argmax_rows(logits, 2));
    return log_loss(labels, p.logits, 2);
  };
  CHECK(loss(t.value) < loss(1));
  CHECK(loss(t.value) < loss(t.value * 1.001));
  CHECK(loss(t.value) < loss(t.value / 1.001));
}

TEST_CASE("a temperature that does not exist ends at a bound and says so", "[evaluation]") {
  const Temperature sharp = fit_temperature({0, 1}, {1, 0, 0, 1}, 2);  // all right: the colder the better
  CHECK(sharp.at_bound);
  CHECK(sharp.value == 0.05);
  const Temperature flat = fit_temperature({1, 0}, {1, 0, 0, 1}, 2);  // all wrong
  CHECK(flat.at_bound);
  CHECK(flat.value == 20);
  CHECK(fit_temperature({0, 1}, {0, 0, 0, 0}, 2).at_bound);  // no answer at all
  CHECK_THROWS_WITH(fit_temperature({0}, {std::nan(""), 0}, 2), Contains("diverged"));
  CHECK_THROWS_AS(fit_temperature({}, {}, 2), Error);
}
