// Is run B better than run A, or only luckier with these patients? McNemar's test on the decisions, and intervals of the differences of
// scores, both runs scored on the same resampled patients each time.
#pragma once
#include <string>
#include <vector>

#include "apps/metrics/significance.h"
#include "apps/evaluation/prediction_table.h"

namespace dura {

struct ScoreDifference {
  std::string score;      // "accuracy", "F1 Menin"
  double a = 0, b = 0;    // of all pictures; NaN where it is not defined
  double difference = 0;  // b - a
  Interval interval;      // of the difference; NaN where there is none
  bool clear() const { return interval.low > 0 || interval.high < 0; }
};

struct Comparison {
  std::string a, b;  // names of the files
  int64_t pictures = 0, units = 0;
  std::string unit;  // "patients", "groups or pictures"
  McNemar mcnemar;
  std::vector<ScoreDifference> differences;
  BootstrapOptions bootstrap;
};

// Accuracy, then F1 and ROC AUC of each class. Throws UsageError where the two are not about the same pictures.
Comparison compare_predictions(const PredictionTable& a, const PredictionTable& b, const BootstrapOptions& options = {});

std::string comparison_text(const Comparison& c);
std::string comparison_json(const Comparison& c);

}  // namespace dura
