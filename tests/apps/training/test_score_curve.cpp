// ROC and precision-recall curves and their areas against scikit-learn (tests/golden/make_metrics.py), and the cases that have no ordinary
// value.
#include "tests/support/catch.h"

#include <cmath>
#include <limits>

#include "apps/metrics/score_curve.h"
#include "tests/support/named_values.h"

using namespace dura;
using namespace dura::test;

namespace {

constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();

std::vector<bool> booleans(const std::vector<double>& v) { return std::vector<bool>(v.begin(), v.end()); }
Approx close(double v) { return Approx(v).epsilon(1e-12).margin(1e-15); }

}  // namespace

TEST_CASE("curves and areas are scikit-learn's, with ties and without", "[evaluation]") {
  auto golden = read_named_values("metrics.txt");
  for (const std::string name : {"tied", "distinct"}) {
    INFO(name);
    const std::vector<bool> positive = booleans(golden[name + "_positive"]);
    const std::vector<double>& scores = golden[name + "_scores"];
    CHECK(ScoreCurve(positive, scores).roc_auc() == close(golden[name + "_auc"].at(0)));
    CHECK(ScoreCurve(positive, scores).average_precision() == close(golden[name + "_average_precision"].at(0)));
    const ScoreCurve curve(positive, scores);
    const std::vector<double>&roc = golden[name + "_roc"], &pr = golden[name + "_precision_recall"],
          &thresholds = golden[name + "_thresholds"];
    REQUIRE(curve.points().size() == thresholds.size() + 1);
    REQUIRE(roc.size() == 2 * thresholds.size());
    REQUIRE(pr.size() == roc.size());
    for (size_t i = 0; i < thresholds.size(); ++i) {
      const CurvePoint& p = curve.points()[i + 1];
      CHECK(p.threshold == thresholds[i]);
      CHECK(curve.false_positive_rate(p) == close(roc[2 * i]));
      CHECK(curve.true_positive_rate(p) == close(roc[2 * i + 1]));
      CHECK(curve.precision(p) == close(pr[2 * i]));
      CHECK(curve.true_positive_rate(p) == close(pr[2 * i + 1]));
    }
  }
  CHECK(ScoreCurve({true, false}, {0.5, 0.5}).roc_auc() == 0.5);
  CHECK(ScoreCurve({true, false, true}, {3, 2, 1}).roc_auc() == 0.5);
  CHECK(ScoreCurve({true, false, true}, {3, 2, 1}).average_precision() == close((1 + 2.0 / 3) / 2));
}

TEST_CASE("rows of a curve count as often as they are drawn", "[evaluation]") {
  auto golden = read_named_values("metrics.txt");
  const std::vector<bool> positive = booleans(golden["distinct_positive"]);
  const ScoreCurve counted(positive, golden["distinct_scores"], golden["counts"]);
  CHECK(counted.roc_auc() == close(golden["counted_auc"].at(0)));
  for (size_t i = 1; i < counted.points().size(); ++i) {  // a row that is not drawn is no threshold
    const CurvePoint &a = counted.points()[i - 1], &b = counted.points()[i];
    CHECK(a.true_positives + a.false_positives < b.true_positives + b.false_positives);
  }
}

TEST_CASE("a curve begins where nothing is called positive and ends where everything is", "[evaluation]") {
  const ScoreCurve curve({true, false, false}, {0.2, 0.2, 0.2});
  REQUIRE(curve.points().size() == 2);
  CHECK(std::isinf(curve.points()[0].threshold));
  CHECK(curve.true_positive_rate(curve.points()[0]) == 0);
  CHECK(curve.precision(curve.points()[0]) == 1);
  CHECK(curve.true_positive_rate(curve.points()[1]) == 1);
  CHECK(curve.false_positive_rate(curve.points()[1]) == 1);
  CHECK(curve.precision(curve.points()[1]) == close(1.0 / 3));
  CHECK(curve.roc_auc() == 0.5);
}

TEST_CASE("areas that do not exist are NaN, and scores that are NaN end in NaN instead of a hang", "[evaluation]") {
  CHECK(std::isnan(ScoreCurve({true, true}, {1, 2}).roc_auc()));
  CHECK(std::isnan(ScoreCurve({false}, {1}).roc_auc()));
  CHECK(std::isnan(ScoreCurve({}, {}).roc_auc()));
  CHECK(std::isnan(ScoreCurve({false, false}, {1, 2}).average_precision()));
  CHECK(ScoreCurve({true, true}, {1, 2}).average_precision() == 1);
  CHECK(std::isnan(ScoreCurve({true, false, true}, {0.1, nan_value, 0.3}).roc_auc()));
  CHECK(std::isnan(ScoreCurve({true, false, true}, {0.1, nan_value, 0.3}).average_precision()));
  CHECK(ScoreCurve({true, false}, {0.1, nan_value}).points().empty());
  CHECK_THROWS_AS(ScoreCurve({true}, {1, 2}).roc_auc(), Error);
  CHECK_THROWS_AS(ScoreCurve({true}, {1}, {1, 2}), Error);
}
