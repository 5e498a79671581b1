// All scores of one class against the rest, what they are called in files and tables, and those that a bootstrap asks for when rows count
// more than once, or not at all.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "apps/metrics/significance.h"
#include "apps/metrics/metrics.h"
#include "apps/metrics/score_curve.h"

namespace dura {

// Precision, recall and F1 are those of the decisions, 0 where the denominator is 0; the others are those of the probabilities, NaN where
// one side is empty.
struct ClassScores {
  std::string name;
  int64_t support = 0;                      // pictures of this class
  Score precision, recall, f1, auc;         // with intervals, where there are any
  Score average_precision, brier;           // without
  ScoreCurve curve = ScoreCurve({}, {});    // ROC and precision-recall
  std::vector<ReliabilityBin> reliability;  // of this class' probability
};

struct ClassScore {
  const char *key, *title;
  Score ClassScores::*score;
};
// In the order of files and tables.
inline constexpr std::array<ClassScore, 6> class_scores = {{{"precision", "precision", &ClassScores::precision},
                                                            {"recall", "recall", &ClassScores::recall},
                                                            {"f1", "F1", &ClassScores::f1},
                                                            {"auc", "ROC AUC", &ClassScores::auc},
                                                            {"average_precision", "average precision", &ClassScores::average_precision},
                                                            {"brier", "Brier score", &ClassScores::brier}}};
inline constexpr size_t scores_with_interval = 4;  // the first ones

// Decisions and probabilities: what does not change from one resample to the next.
struct Decided {
  std::vector<int32_t> labels, decided;
  std::vector<OneAgainstRest> classes;

  Decided(const std::vector<int32_t>& labels, const std::vector<int32_t>& decided, const std::vector<double>& probabilities,
          int64_t classes);
};

// NaN where a denominator is 0: such a resample has no say.
struct CountedScores {
  double accuracy = 0;
  struct Class {
    double precision = 0, recall = 0, f1 = 0, auc = 0;
  };
  std::vector<Class> classes;
};

// Of rows that count `counts` times each.
CountedScores counted_scores(const Decided& rows, const std::vector<double>& counts);

}  // namespace dura
