#include "apps/metrics/metrics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/base/check.h"

namespace dura {

namespace {

double ratio(int64_t a, int64_t b) { return b == 0 ? 0.0 : static_cast<double>(a) / static_cast<double>(b); }

}  // namespace

Confusion::Confusion(int64_t classes, std::vector<int64_t> counts) : classes_(classes), counts_(std::move(counts)) {
  DURA_CHECK(static_cast<int64_t>(counts_.size()) == classes * classes, "confusion matrix: ", counts_.size(), " counts for ", classes,
             " classes");
}

int64_t Confusion::total() const { return std::accumulate(counts_.begin(), counts_.end(), int64_t{0}); }

int64_t Confusion::support(int64_t label) const {
  int64_t sum = 0;
  for (int64_t j = 0; j < classes_; ++j) sum += count(label, j);
  return sum;
}

int64_t Confusion::predicted(int64_t c) const {
  int64_t sum = 0;
  for (int64_t i = 0; i < classes_; ++i) sum += count(i, c);
  return sum;
}

double Confusion::precision(int64_t c) const { return ratio(count(c, c), predicted(c)); }

double Confusion::recall(int64_t c) const { return ratio(count(c, c), support(c)); }

double Confusion::f1(int64_t c) const { return ratio(2 * count(c, c), predicted(c) + support(c)); }

double Confusion::accuracy() const {
  int64_t right = 0;
  for (int64_t c = 0; c < classes_; ++c) right += count(c, c);
  return ratio(right, total());
}

double Confusion::balanced_accuracy() const {
  double sum = 0;
  int64_t present = 0;
  for (int64_t c = 0; c < classes_; ++c)
    if (support(c) > 0) sum += recall(c), ++present;
  return present == 0 ? 0.0 : sum / static_cast<double>(present);
}

Confusion confusion_of(const std::vector<int32_t>& labels, const std::vector<int32_t>& predicted, int64_t classes) {
  DURA_CHECK(labels.size() == predicted.size(), "confusion matrix: ", labels.size(), " labels and ", predicted.size(), " predictions");
  Confusion c(classes);
  for (size_t i = 0; i < labels.size(); ++i) c.add(labels[i], predicted[i]);
  return c;
}

double log_loss(const std::vector<int32_t>& labels, const std::vector<double>& logits, int64_t classes,
                const std::vector<double>& weights) {
  DURA_CHECK(logits.size() == labels.size() * static_cast<size_t>(classes), "log loss: ", logits.size(), " logits for ", labels.size(),
             " rows of ", classes, " classes");
  const std::vector<double> logs = log_sum_exp_rows(logits, classes);
  double total = 0;
  for (size_t i = 0; i < labels.size(); ++i)
    total += (logs[i] - logits[i * static_cast<size_t>(classes) + static_cast<size_t>(labels[i])]) *
             (weights.empty() ? 1.0 : weights[static_cast<size_t>(labels[i])]);
  return labels.empty() ? NAN : total / static_cast<double>(labels.size());
}

double brier_score(const std::vector<bool>& positive, const std::vector<double>& probability) {
  DURA_CHECK(positive.size() == probability.size(), "Brier score: ", positive.size(), " labels and ", probability.size(), " probabilities");
  double sum = 0;
  for (size_t i = 0; i < positive.size(); ++i) {
    const double miss = probability[i] - (positive[i] ? 1.0 : 0.0);
    sum += miss * miss;
  }
  return positive.empty() ? NAN : sum / static_cast<double>(positive.size());
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
    b.mean_probability = b.count ? b.mean_probability / static_cast<double>(b.count) : NAN;
    b.share_positive = b.count ? b.share_positive / static_cast<double>(b.count) : NAN;
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
  return rows == 0 ? NAN : sum / rows;
}

}  // namespace dura
