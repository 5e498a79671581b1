// Scores of a classifier against scikit-learn (tests/golden/make_metrics.py), and the cases that have no ordinary value.
#include "tests/support/catch.h"

#include <cmath>

#include "apps/metrics/metrics.h"
#include "engine/base/check.h"
#include "tests/support/named_values.h"

using namespace dura;
using namespace dura::test;

namespace {

std::vector<int32_t> integers(const std::vector<double>& v) { return std::vector<int32_t>(v.begin(), v.end()); }
Approx close(double v) { return Approx(v).epsilon(1e-12); }

}  // namespace

TEST_CASE("confusion matrix and the scores made of it are scikit-learn's", "[training]") {
  auto golden = read_named_values("metrics.txt");
  const Confusion c = confusion_of(integers(golden["labels"]), argmax_rows(golden["logits"], 3), 3);
  CHECK(c.total() == 60);
  for (int64_t i = 0; i < 3; ++i) {
    const auto k = static_cast<size_t>(i);
    for (int64_t j = 0; j < 3; ++j) CHECK(c.count(i, j) == golden["confusion"][static_cast<size_t>(3 * i + j)]);
    CHECK(c.support(i) == golden["support"][k]);
    CHECK(c.precision(i) == close(golden["precision"][k]));
    CHECK(c.recall(i) == close(golden["recall"][k]));
    CHECK(c.f1(i) == close(golden["f1"][k]));
  }
  CHECK(c.accuracy() == close(golden["accuracy"][0]));
  CHECK(c.balanced_accuracy() == close(golden["balanced_accuracy"][0]));
}

TEST_CASE("scores of classes that never occur or are never predicted are 0, not NaN", "[training]") {
  const Confusion c = confusion_of({0, 0, 1}, {0, 0, 0}, 3);
  CHECK(c.precision(0) == close(2.0 / 3));
  CHECK(c.precision(1) == 0);
  CHECK(c.recall(1) == 0);
  CHECK(c.f1(1) == 0);
  CHECK(c.recall(2) == 0);
  CHECK(c.balanced_accuracy() == close(0.5));  // class 2 does not occur
  CHECK(Confusion(2).accuracy() == 0);
  CHECK_THROWS_AS(confusion_of({0, 1}, {0}, 2), Error);
  CHECK_THROWS_AS(Confusion(2, {1, 2, 3}), Error);
}

TEST_CASE("the first of equal values is the prediction", "[training]") {
  CHECK(argmax_rows({1, 1, 0, 2, 3, 3}, 3) == std::vector<int32_t>{0, 1});
}

TEST_CASE("log loss is exact for logits whose exponentials overflow", "[training]") {
  auto golden = read_named_values("metrics.txt");
  CHECK(log_loss(integers(golden["labels"]), golden["logits"], 3) == close(golden["log_loss"][0]));
  CHECK(log_loss(integers(golden["labels"]), golden["logits"], 3, golden["weights"]) == close(golden["weighted_log_loss"][0]));
  CHECK(log_loss({1}, {0, 0}, 2) == close(std::log(2.0)));
  CHECK(log_loss({0}, {1e4, 0}, 2) == 0);
  CHECK(log_loss({1}, {1e4, 0}, 2) == close(1e4));
  CHECK(std::isnan(log_loss({}, {}, 2)));
  CHECK_THROWS_AS(log_loss({0, 1}, {0, 0}, 2), Error);
}
