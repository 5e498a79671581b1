#include "apps/metrics/decision.h"

#include <limits>

#include "apps/metrics/metrics.h"
#include "engine/base/check.h"
#include "engine/base/text.h"

namespace dura {

ThresholdRule parse_threshold_rule(const std::string& text) {
  using Kind = ThresholdRule::Kind;
  if (text == "argmax") return {.kind = Kind::argmax};
  if (text == "f1") return {.kind = Kind::f1};
  if (text == "youden") return {.kind = Kind::youden};
  if (text.starts_with("recall=")) {
    const double recall = parse_number(text.substr(7)).value_or(0);
    if (recall > 0 && recall <= 1) return {.kind = Kind::recall, .recall = recall};
    fail_usage("--threshold ", text, ": the recall must be a number above 0 and at most 1, as in recall=0.9");
  }
  fail_usage("--threshold ", text,
             ": use argmax, f1, youden, or recall=0.9 (the highest threshold that reaches this recall on validation)");
}

std::vector<int32_t> Decision::classes(const std::vector<double>& probabilities, int64_t count) const {
  if (argmax) return argmax_rows(probabilities, count);
  std::vector<int32_t> chosen;
  for (size_t row = 0; row < probabilities.size(); row += static_cast<size_t>(count)) {
    const double* p = probabilities.data() + row;
    int64_t best = rare;
    if (!(p[rare] >= threshold)) {
      best = rare == 0 ? 1 : 0;
      for (int64_t c = best + 1; c < count; ++c)
        if (c != rare && p[c] > p[best]) best = c;
    }
    chosen.push_back(static_cast<int32_t>(best));
  }
  return chosen;
}

double choose_threshold(const ThresholdRule& rule, const ScoreCurve& validation) {
  const std::vector<CurvePoint>& points = validation.points();
  DURA_CHECK(!points.empty(),
             "no threshold can be chosen: the model's probabilities on validation are not numbers. The model has diverged.");
  DURA_CHECK(validation.positives() > 0 && validation.negatives() > 0, "no threshold can be chosen: validation has ",
             validation.positives(), " pictures of the rare class and ", validation.negatives(),
             " others. Use --threshold argmax, or a validation set with both.");
  DURA_CHECK(rule.kind != ThresholdRule::Kind::argmax, "choose_threshold: argmax has no threshold");
  size_t best = 1;
  double best_value = -std::numeric_limits<double>::infinity();
  for (size_t i = 1; i < points.size(); ++i) {
    const CurvePoint& p = points[i];
    double value = 0;
    if (rule.kind == ThresholdRule::Kind::f1) value = validation.f1(p);
    if (rule.kind == ThresholdRule::Kind::youden)
      value = p.true_positives * validation.negatives() - p.false_positives * validation.positives();
    if (rule.kind == ThresholdRule::Kind::recall) value = validation.true_positive_rate(p) >= rule.recall ? 1 : 0;
    if (value > best_value) best = i, best_value = value;
  }
  if (best + 1 == points.size()) return points[best].threshold;
  const double middle = points[best + 1].threshold + (points[best].threshold - points[best + 1].threshold) / 2;
  return middle > points[best + 1].threshold ? middle : points[best].threshold;  // neighbouring doubles have no middle
}

}  // namespace dura
