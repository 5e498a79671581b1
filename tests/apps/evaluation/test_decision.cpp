// Thresholds: how they are asked for, chosen and used; and how sure a decision is.
#include "tests/support/catch.h"

#include <cmath>

#include "apps/metrics/risk_coverage.h"
#include "apps/metrics/score_curve.h"
#include "engine/base/check.h"

using namespace dura;
using Catch::Contains;

TEST_CASE("threshold rules are read, and nonsense is refused with what is possible", "[evaluation]") {
  CHECK(parse_threshold_rule("argmax").kind == ThresholdRule::Kind::argmax);
  CHECK(parse_threshold_rule("f1").kind == ThresholdRule::Kind::f1);
  CHECK(parse_threshold_rule("youden").kind == ThresholdRule::Kind::youden);
  CHECK(parse_threshold_rule("recall=0.9").recall == 0.9);
  for (const char* wrong : {"", "0.5", "recall", "recall=", "recall=0", "recall=1.1", "recall=nan", "recall=0.9x"}) {
    INFO(wrong);
    CHECK_THROWS_AS(parse_threshold_rule(wrong), UsageError);
  }
  CHECK_THROWS_WITH(parse_threshold_rule("best"), Contains("best") && Contains("youden"));
}

TEST_CASE("each rule chooses its threshold, in the middle between two scores", "[evaluation]") {
  // By falling score: + + - + - - + -
  const ScoreCurve curve({true, true, false, true, false, false, true, false}, {0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2});
  CHECK(choose_threshold({.kind = ThresholdRule::Kind::f1}, curve) == Approx(0.55));      // precision 3/4, recall 3/4
  CHECK(choose_threshold({.kind = ThresholdRule::Kind::youden}, curve) == Approx(0.75));  // 2/4 - 0, and the lower 3/4 - 1/4 is as good
  CHECK(choose_threshold({.kind = ThresholdRule::Kind::recall, .recall = 0.75}, curve) == Approx(0.55));
  CHECK(choose_threshold({.kind = ThresholdRule::Kind::recall, .recall = 0.76}, curve) == Approx(0.25));
  CHECK(choose_threshold({.kind = ThresholdRule::Kind::recall, .recall = 1}, curve) == Approx(0.25));
}

TEST_CASE("a threshold that would call everything positive is the lowest score", "[evaluation]") {
  CHECK(choose_threshold({.kind = ThresholdRule::Kind::f1}, ScoreCurve({true, false}, {0.4, 0.4})) == 0.4);
  const double above = std::nextafter(0.4, 1.0);  // no number between the two scores
  CHECK(choose_threshold({.kind = ThresholdRule::Kind::f1}, ScoreCurve({true, false}, {above, 0.4})) == above);
}

TEST_CASE("no threshold is chosen from one class only or from a diverged network", "[evaluation]") {
  const ThresholdRule f1 = {.kind = ThresholdRule::Kind::f1};
  CHECK_THROWS_WITH(choose_threshold(f1, ScoreCurve({true, true}, {0.1, 0.2})), Contains("0 others") && Contains("argmax"));
  CHECK_THROWS_WITH(choose_threshold(f1, ScoreCurve({false}, {0.1})), Contains("0 pictures of the rare class"));
  CHECK_THROWS_WITH(choose_threshold(f1, ScoreCurve({true, false}, {0.1, std::nan("")})), Contains("diverged"));
  CHECK_THROWS_AS(choose_threshold({}, ScoreCurve({true, false}, {0.1, 0.2})), Error);
}

TEST_CASE("a decision takes the rare class from its threshold on, else the most probable other", "[evaluation]") {
  const std::vector<double> p = {0.3,  0.5, 0.2,  //
                                 0.2,  0.3, 0.5,  //
                                 0.25, 0.7, 0.05};
  CHECK(Decision{}.classes(p, 3) == std::vector<int32_t>{1, 2, 1});
  CHECK(Decision{.argmax = false, .rare = 0, .threshold = 0.25}.classes(p, 3) == std::vector<int32_t>{0, 2, 0});
  CHECK(Decision{.argmax = false, .rare = 1, .threshold = 0.9}.classes(p, 3) == std::vector<int32_t>{0, 2, 0});
  CHECK(Decision{.argmax = false, .rare = 1, .threshold = 0.3}.classes({0.8, 0.2, 0.6, 0.4}, 2) == std::vector<int32_t>{0, 1});
}

TEST_CASE("a decision's confidence is its probability, or its distance from the threshold as a share of its side", "[evaluation]") {
  CHECK(Decision{}.confidence({0.3, 0.7, 0.6, 0.4}, 2) == std::vector<double>{0.7, 0.6});
  const std::vector<double> c =
      Decision{.argmax = false, .rare = 0, .threshold = 0.2}.confidence({0.2, 0.8, 0.6, 0.4, 0.05, 0.95, 1, 0, 0, 1}, 2);
  const double expected[] = {0, 0.5, 0.75, 1, 1};
  REQUIRE(c.size() == 5);
  for (size_t i = 0; i < 5; ++i) CHECK(c[i] == Approx(expected[i]).margin(1e-12));
}

TEST_CASE("risk over coverage answers the surest rows first, and equal confidences together", "[evaluation]") {
  // By falling confidence: right, (right, wrong), right, wrong
  const RiskCoverage curve({0.6, 0.9, 0.8, 0.8, 0.7}, {false, true, false, true, true});
  REQUIRE(curve.points().size() == 4);
  CHECK(curve.points()[0].threshold == 0.9);
  CHECK(curve.points()[0].coverage == Approx(0.2));
  CHECK(curve.points()[0].risk == 0);
  CHECK(curve.points()[1].coverage == Approx(0.6));
  CHECK(curve.points()[1].risk == Approx(1.0 / 3));
  CHECK(curve.points()[2].risk == Approx(0.25));
  CHECK(curve.points()[3].coverage == 1);
  CHECK(curve.points()[3].risk == Approx(0.4));
  CHECK(curve.area() == Approx(0.2 * 0 + 0.4 / 3 + 0.2 * 0.25 + 0.2 * 0.4));
  CHECK(curve.at(0.2).threshold == 0.9);
  CHECK(curve.at(0.3).threshold == 0.8);  // at least the share that is asked for
  CHECK(curve.at(1).threshold == 0.6);
}

TEST_CASE("a network that has diverged is sure of nothing", "[evaluation]") {
  const RiskCoverage curve({0.5, std::nan("")}, {true, true});
  CHECK(curve.points().empty());
  CHECK(std::isnan(curve.area()));
  CHECK_THROWS_WITH(curve.at(0.5), Contains("diverged"));
  CHECK_THROWS_AS(RiskCoverage({0.5}, {}), Error);
}
