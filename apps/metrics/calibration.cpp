#include "apps/metrics/calibration.h"

#include <cmath>
#include <limits>

#include "engine/base/check.h"

namespace dura {
namespace {

constexpr double not_defined = std::numeric_limits<double>::quiet_NaN();

}  // namespace

double brier_score(const std::vector<bool>& positive, const std::vector<double>& probability) {
  DURA_CHECK(positive.size() == probability.size(), "Brier score: ", positive.size(), " labels and ", probability.size(), " probabilities");
  double sum = 0;
  for (size_t i = 0; i < positive.size(); ++i) {
    const double miss = probability[i] - (positive[i] ? 1.0 : 0.0);
    sum += miss * miss;
  }
  return positive.empty() ? not_defined : sum / static_cast<double>(positive.size());
}

std::vector<ReliabilityBin> reliability_bins(const std::vector<bool>& positive, const std::vector<double>& probability, int64_t bins) {
  DURA_CHECK(positive.size() == probability.size(), "reliability: ", positive.size(), " labels and ", probability.size(), " probabilities");
  DURA_CHECK(bins >= 1, "reliability: ", bins, " bins, at least 1 is needed");
  for (const double p : probability)
    if (std::isnan(p)) return {};
  std::vector<ReliabilityBin> all(static_cast<size_t>(bins));
  const auto edge = [&](size_t k) { return static_cast<double>(k) / static_cast<double>(bins); };
  for (size_t k = 0; k < all.size(); ++k) all[k] = {.low = edge(k), .high = edge(k + 1)};
  for (size_t i = 0; i < positive.size(); ++i) {
    const double p = probability[i];
    DURA_CHECK(p >= 0 && p <= 1, "reliability: row ", i, " has the probability ", p, ", expected 0 to 1");
    size_t k = 0;
    while (k + 1 < all.size() && p > all[k].high) ++k;
    ++all[k].count;
    all[k].mean_probability += p;
    all[k].share_positive += positive[i];
  }
  for (ReliabilityBin& b : all) {
    b.mean_probability = b.count ? b.mean_probability / static_cast<double>(b.count) : not_defined;
    b.share_positive = b.count ? b.share_positive / static_cast<double>(b.count) : not_defined;
  }
  return all;
}

double expected_calibration_error(const std::vector<ReliabilityBin>& bins) {
  double sum = 0, rows = 0;
  for (const ReliabilityBin& b : bins) {
    if (b.count == 0) continue;
    sum += static_cast<double>(b.count) * std::abs(b.mean_probability - b.share_positive);
    rows += static_cast<double>(b.count);
  }
  return rows == 0 ? not_defined : sum / rows;
}

}  // namespace dura
