#include "apps/metrics/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "engine/base/check.h"
#include "models/network/answer.h"

namespace dura {
namespace {

double ratio(int64_t a, int64_t b) { return b == 0 ? 0.0 : static_cast<double>(a) / static_cast<double>(b); }

constexpr double not_defined = std::numeric_limits<double>::quiet_NaN();

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
  return labels.empty() ? not_defined : total / static_cast<double>(labels.size());
}

}  // namespace dura
