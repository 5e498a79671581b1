// May a probability be taken at its word? Of the pictures that a model calls meningioma with 0.8, eight in ten should be one.
#pragma once
#include <cstdint>
#include <vector>

namespace dura {

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
