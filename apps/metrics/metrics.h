// How good a classifier is, from true labels and probabilities. Everything in double, everything exact.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/network/answer.h"

namespace dura {

// Rows are true classes, columns predicted ones.
class Confusion {
 public:
  explicit Confusion(int64_t classes) : classes_(classes), counts_(static_cast<size_t>(classes * classes)) {}
  Confusion(int64_t classes, std::vector<int64_t> counts);

  void add(int32_t label, int32_t predicted, int64_t count = 1) { counts_[index(label, predicted)] += count; }
  int64_t classes() const { return classes_; }
  int64_t count(int64_t label, int64_t predicted) const { return counts_[index(label, predicted)]; }
  int64_t total() const;
  int64_t support(int64_t label) const;  // rows of a true class
  int64_t predicted(int64_t c) const;    // rows that were called one

  // 0 where the denominator is 0, as scikit-learn's zero_division=0.
  double precision(int64_t c) const;
  double recall(int64_t c) const;
  double f1(int64_t c) const;
  double accuracy() const;
  double balanced_accuracy() const;  // mean recall of the classes that occur

 private:
  size_t index(int64_t label, int64_t predicted) const { return static_cast<size_t>(label * classes_ + predicted); }
  int64_t classes_;
  std::vector<int64_t> counts_;
};

Confusion confusion_of(const std::vector<int32_t>& labels, const std::vector<int32_t>& predicted, int64_t classes);

// Mean of -log softmax(logits)[label], times weights[label] where weights are given (normalised by the number of rows).
double log_loss(const std::vector<int32_t>& labels, const std::vector<double>& logits, int64_t classes,
                const std::vector<double>& weights = {});

// May a probability be taken at its word? Of the pictures that a model calls meningioma with 0.8, eight in ten should be one.

// Mean of (probability - 1)^2 over positives and probability^2 over negatives (Brier 1950, for one class against the rest); 0 is perfect,
// always saying the share of positives gives share * (1 - share). NaN for no rows.
double brier_score(const std::vector<bool>& positive, const std::vector<double>& probability);

// One bar of a reliability diagram: the rows whose probability lies in (low, high], 0 itself in the first bin.
struct ReliabilityBin {
  double low = 0, high = 0;
  int64_t count = 0;
  double mean_probability = 0, share_positive = 0;  // NaN where count is 0
};

// `bins` of equal width over [0, 1]. Empty where a probability is NaN (a network that has diverged); probabilities outside of [0, 1] are an
// error.
std::vector<ReliabilityBin> reliability_bins(const std::vector<bool>& positive, const std::vector<double>& probability, int64_t bins = 10);

// Sum over bins of (share of all rows) * |mean probability - share of positives| (Guo et al. 2017, eq. 3, when `positive` says that the
// predicted class was right and `probability` is the predicted class's). NaN for no rows.
double expected_calibration_error(const std::vector<ReliabilityBin>& bins);

}  // namespace dura
