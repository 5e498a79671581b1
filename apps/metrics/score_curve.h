// What every possible threshold on a score would do, and which one is chosen.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace dura {

// What every possible threshold on a score would do: the ROC curve, the precision-recall curve, and the areas under them. Exact: equal
// scores are one threshold, nothing is binned. The same numbers as scikit-learn's roc_curve, precision_recall_curve, roc_auc_score and
// average_precision_score.

inline double ratio(double a, double b) { return b == 0 ? NAN : a / b; }

// What "positive where score >= threshold" finds.
struct CurvePoint {
  double threshold = 0;  // a score that occurs; infinity for the first point, where nothing is called positive
  double true_positives = 0, false_positives = 0;
};

class ScoreCurve {
 public:
  // Points by falling threshold, one for each distinct score, after the one at infinity. Empty where a score is NaN: a network that has
  // diverged ranks nothing. `counts`: how often each row counts (a bootstrap's resample); empty: once.
  ScoreCurve(const std::vector<bool>& positive, const std::vector<double>& score, const std::vector<double>& counts = {});

  const std::vector<CurvePoint>& points() const { return points_; }
  double positives() const { return positives_; }
  double negatives() const { return negatives_; }

  // NaN where its denominator is 0.
  double true_positive_rate(const CurvePoint& p) const;   // recall, sensitivity
  double false_positive_rate(const CurvePoint& p) const;  // 1 - specificity
  double precision(const CurvePoint& p) const;            // 1 at the first point, as scikit-learn closes its curve
  double f1(const CurvePoint& p) const;

  // Area under the ROC curve: the chance that a positive scores higher than a negative, ties counted half (Mann and Whitney). NaN where one
  // kind is missing.
  double roc_auc() const;
  // Sum over thresholds of (step of recall) * precision. NaN where there is no positive.
  double average_precision() const;

 private:
  std::vector<CurvePoint> points_;
  double positives_ = 0, negatives_ = 0;
};

// One class against the rest: which rows are of it, and its column of the probabilities.
struct OneAgainstRest {
  std::vector<bool> positive;
  std::vector<double> score;

  OneAgainstRest(const std::vector<int32_t>& labels, const std::vector<double>& probabilities, int64_t classes, int64_t c);
  ScoreCurve curve(const std::vector<double>& counts = {}) const { return ScoreCurve(positive, score, counts); }
};

// How probabilities become a class: the most probable one, or the rare class from a threshold on. A threshold is chosen on validation
// pictures and then frozen.
struct ThresholdRule {
  enum class Kind { argmax, f1, youden, recall } kind = Kind::argmax;
  double recall = 0;  // at least, for Kind::recall
};

// "argmax", "f1", "youden" or "recall=0.9"; UsageError for anything else.
ThresholdRule parse_threshold_rule(const std::string& text);

// The class that is decided for in each row of `classes` probabilities. With a threshold: `rare` where its probability is at least the
// threshold, otherwise the most probable of the others.
struct Decision {
  bool argmax = true;
  int64_t rare = 0;
  double threshold = 0;

  std::vector<int32_t> classes(const std::vector<double>& probabilities, int64_t count) const;
  // How sure each of these decisions is: the most probable class's probability, or with a threshold how far the rare class's one lies from
  // it, 0 at the threshold and 1 at the end of its side.
  std::vector<double> confidence(const std::vector<double>& probabilities, int64_t count) const;
};

// The threshold of the best F1, of the largest Youden index (recall - false positive rate), or the highest that reaches the recall; the
// highest of equally good ones. It lies in the middle between the last score that counts as positive and the next lower one, so that
// rounding cannot flip a row. Throws where the scores are not numbers or have positives or negatives only: nothing can be chosen then.
double choose_threshold(const ThresholdRule& rule, const ScoreCurve& validation);

}  // namespace dura
