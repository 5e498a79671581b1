#include "apps/evaluation/split_evaluation.h"

namespace dura {

TemperatureEffect temperature_effect(const std::string& split, const Predictions& before, const Predictions& after) {
  return {.split = split,
          .log_loss_before = log_loss(before.labels, before.logits, before.classes),
          .log_loss_after = log_loss(after.labels, after.logits, after.classes),
          .calibration_error_before = expected_calibration_error(confidence_bins(before)),
          .calibration_error_after = expected_calibration_error(confidence_bins(after))};
}

void choose_on_validation(SplitEvaluation& s, Predictions p, bool fits_temperature) {
  if (fits_temperature) {
    s.temperature = fit_temperature(p.labels, p.logits, p.classes);
    if (!s.temperature->at_bound) {
      const Predictions after = with_temperature(p, s.temperature->value);
      s.temperature_effects.push_back(temperature_effect("val", p, after));
      p = after;
    }
  }
  const ThresholdRule rule = parse_threshold_rule(s.threshold_rule);
  if (rule.kind == ThresholdRule::Kind::argmax) return;
  const OneAgainstRest rare(p.labels, p.probabilities, p.classes, s.rare);
  s.decision = {.argmax = false, .rare = s.rare, .threshold = choose_threshold(rule, rare.curve())};
  const Confusion c = confusion_of(p.labels, s.decision.classes(p.probabilities, p.classes), p.classes);
  s.validation = {.pictures = c.total(), .precision = c.precision(s.rare), .recall = c.recall(s.rare), .f1 = c.f1(s.rare)};
}

}  // namespace dura
