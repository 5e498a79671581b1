#include "apps/metrics/score_curve.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "engine/base/check.h"

namespace dura {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_defined = std::numeric_limits<double>::quiet_NaN();

double ratio(double a, double b) { return b == 0 ? not_defined : a / b; }

}  // namespace

ScoreCurve::ScoreCurve(const std::vector<bool>& positive, const std::vector<double>& score, const std::vector<double>& counts) {
  DURA_CHECK(positive.size() == score.size(), "curve: ", positive.size(), " labels and ", score.size(), " scores");
  DURA_CHECK(counts.empty() || counts.size() == score.size(), "curve: ", counts.size(), " counts for ", score.size(), " scores");
  if (std::any_of(score.begin(), score.end(), [](double v) { return std::isnan(v); })) return;
  std::vector<size_t> order(score.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return score[a] > score[b]; });
  points_.push_back({.threshold = infinity});
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
  return points_.empty() ? not_defined : ratio(area, positives_ * negatives_);
}

double ScoreCurve::average_precision() const {
  if (points_.empty()) return not_defined;
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

}  // namespace dura
