// How probabilities become a class: the most probable one, or the rare class from a threshold on. A threshold is chosen on validation
// pictures and then frozen.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "apps/metrics/score_curve.h"

namespace dura {

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
};

// The threshold of the best F1, of the largest Youden index (recall - false positive rate), or the highest that reaches the recall; the
// highest of equally good ones. It lies in the middle between the last score that counts as positive and the next lower one, so that
// rounding cannot flip a row. Throws where the scores are not numbers or have positives or negatives only: nothing can be chosen then.
double choose_threshold(const ThresholdRule& rule, const ScoreCurve& validation);

}  // namespace dura
