// Several evaluations of one design, one for each fold of a cross-validation, as one: mean and spread of each score over the folds, and
// the scores of all their decisions together.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "apps/metrics/metrics.h"

namespace dura {

struct FoldScore {
  std::string score;            // "accuracy", "F1 Menin"
  std::vector<double> values;   // one per fold; NaN where it is not defined
  int64_t defined = 0;          // folds that have it; mean and spread are over these
  double mean = 0, spread = 0;  // spread: standard deviation with n - 1; NaN for fewer than two
  double low = 0, high = 0;     // the smallest and largest
};

struct FoldSummary {
  std::vector<std::string> folds, classes;
  std::string result;  // the version of the split: "untouched"
  std::vector<FoldScore> scores;
  Confusion pooled = Confusion(0);  // the sum of the folds' matrices: every picture once where the folds divide the data
};

struct FoldFile {
  std::string name, json;  // of an evaluation_<split>.json
};

// Throws UsageError where the files cannot be summed up: fewer than two, one that comes twice, different classes, splits or versions, one
// without results. Error for what is no such file. `result` names the version of the split.
FoldSummary summarise_folds(const std::vector<FoldFile>& folds, const std::string& result = "untouched");

std::string fold_summary_text(const FoldSummary& s);
std::string fold_summary_json(const FoldSummary& s);

}  // namespace dura
