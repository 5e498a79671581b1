#include "apps/metrics/score_curve.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "apps/metrics/metrics.h"
#include "engine/base/check.h"
#include "engine/base/text.h"

namespace dura {

ScoreCurve::ScoreCurve(const std::vector<bool>& positive, const std::vector<double>& score, const std::vector<double>& counts) {
  DURA_CHECK(positive.size() == score.size(), "curve: ", positive.size(), " labels and ", score.size(), " scores");
  DURA_CHECK(counts.empty() || counts.size() == score.size(), "curve: ", counts.size(), " counts for ", score.size(), " scores");
  if (std::any_of(score.begin(), score.end(), [](double v) { return std::isnan(v); })) return;
  std::vector<size_t> order(score.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return score[a] > score[b]; });
  points_.push_back({.threshold = INFINITY});
  for (size_t i = 0; i < order.size();) {
    const double value = score[order[i]];
    double total = 0;
    for (; i < order.size() && score[order[i]] == value; ++i) {
      const double count = counts.empty() ? 1.0 : counts[order[i]];
      (positive[order[i]] ? positives_ : negatives_) += count;
      total += count;
    }
    if (total > 0) points_.push_back({.threshold = value, .true_positives = positives_, .false_positives = negatives_});
  }
}

double ScoreCurve::true_positive_rate(const CurvePoint& p) const { return ratio(p.true_positives, positives_); }
double ScoreCurve::false_positive_rate(const CurvePoint& p) const { return ratio(p.false_positives, negatives_); }
double ScoreCurve::precision(const CurvePoint& p) const {
  const double found = p.true_positives + p.false_positives;
  return found == 0 ? 1.0 : p.true_positives / found;
}
double ScoreCurve::f1(const CurvePoint& p) const { return ratio(2 * p.true_positives, p.true_positives + p.false_positives + positives_); }

double ScoreCurve::roc_auc() const {
  double area = 0;
  for (size_t i = 1; i < points_.size(); ++i) {
    const CurvePoint &a = points_[i - 1], &b = points_[i];
    area += (b.false_positives - a.false_positives) * (a.true_positives + b.true_positives) / 2;
  }
  return points_.empty() ? NAN : ratio(area, positives_ * negatives_);
}

double ScoreCurve::average_precision() const {
  if (points_.empty()) return NAN;
  double sum = 0;
  for (size_t i = 1; i < points_.size(); ++i) sum += (points_[i].true_positives - points_[i - 1].true_positives) * precision(points_[i]);
  return ratio(sum, positives_);
}

OneAgainstRest::OneAgainstRest(const std::vector<int32_t>& labels, const std::vector<double>& probabilities, int64_t classes, int64_t c) {
  for (size_t i = 0; i < labels.size(); ++i) {
    positive.push_back(labels[i] == c);
    score.push_back(probabilities[i * static_cast<size_t>(classes) + static_cast<size_t>(c)]);
  }
}

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

std::vector<double> Decision::confidence(const std::vector<double>& probabilities, int64_t count) const {
  std::vector<double> result;
  for (size_t row = 0; row < probabilities.size(); row += static_cast<size_t>(count)) {
    const double* p = probabilities.data() + row;
    const double above = p[rare] - threshold;
    result.push_back(argmax ? *std::max_element(p, p + count) : above >= 0 ? ratio(above, 1 - threshold) : ratio(-above, threshold));
  }
  return result;
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
  double best_value = -INFINITY;
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
