#include "apps/training/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "engine/check.h"

namespace dura {
namespace {

double ratio(int64_t a, int64_t b) { return b == 0 ? 0.0 : static_cast<double>(a) / static_cast<double>(b); }

// Indices by falling score.
std::vector<size_t> by_falling_score(const std::vector<double>& score) {
  std::vector<size_t> order(score.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return score[a] > score[b]; });
  return order;
}

// A network that has diverged answers NaN, which has no rank among scores.
bool any_nan(const std::vector<double>& score) {
  return std::any_of(score.begin(), score.end(), [](double v) { return std::isnan(v); });
}

constexpr double not_defined = std::numeric_limits<double>::quiet_NaN();

}  // namespace

Confusion::Confusion(int64_t classes, std::vector<int64_t> counts) : classes_(classes), counts_(std::move(counts)) {
  DURA_CHECK(static_cast<int64_t>(counts_.size()) == classes * classes, "confusion matrix: ", counts_.size(), " counts for ", classes, " classes");
}

int64_t Confusion::total() const { return std::accumulate(counts_.begin(), counts_.end(), int64_t{0}); }

int64_t Confusion::support(int64_t label) const {
  int64_t sum = 0;
  for (int64_t j = 0; j < classes_; ++j) sum += count(label, j);
  return sum;
}

double Confusion::precision(int64_t c) const {
  int64_t predicted = 0;
  for (int64_t i = 0; i < classes_; ++i) predicted += count(i, c);
  return ratio(count(c, c), predicted);
}

double Confusion::recall(int64_t c) const { return ratio(count(c, c), support(c)); }

double Confusion::f1(int64_t c) const {
  int64_t predicted = 0;
  for (int64_t i = 0; i < classes_; ++i) predicted += count(i, c);
  return ratio(2 * count(c, c), predicted + support(c));
}

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

std::vector<int32_t> argmax_rows(const std::vector<double>& values, int64_t classes) {
  std::vector<int32_t> best;
  for (auto row = values.begin(); row != values.end(); row += classes) best.push_back(static_cast<int32_t>(std::max_element(row, row + classes) - row));
  return best;
}

Confusion confusion_of(const std::vector<int32_t>& labels, const std::vector<int32_t>& predicted, int64_t classes) {
  DURA_CHECK(labels.size() == predicted.size(), "confusion matrix: ", labels.size(), " labels and ", predicted.size(), " predictions");
  Confusion c(classes);
  for (size_t i = 0; i < labels.size(); ++i) c.add(labels[i], predicted[i]);
  return c;
}

double roc_auc(const std::vector<bool>& positive, const std::vector<double>& score) {
  DURA_CHECK(positive.size() == score.size(), "AUC: ", positive.size(), " labels and ", score.size(), " scores");
  if (any_nan(score)) return not_defined;
  const std::vector<size_t> order = by_falling_score(score);
  double area = 0, positives = 0, negatives = 0;
  for (size_t i = 0; i < order.size();) {
    double p = 0, n = 0;
    const double value = score[order[i]];
    for (; i < order.size() && score[order[i]] == value; ++i) (positive[order[i]] ? p : n) += 1;
    area += n * (positives + p / 2);
    positives += p;
    negatives += n;
  }
  return positives == 0 || negatives == 0 ? not_defined : area / (positives * negatives);
}

double average_precision(const std::vector<bool>& positive, const std::vector<double>& score) {
  DURA_CHECK(positive.size() == score.size(), "average precision: ", positive.size(), " labels and ", score.size(), " scores");
  if (any_nan(score)) return not_defined;
  const std::vector<size_t> order = by_falling_score(score);
  const auto total = static_cast<double>(std::count(positive.begin(), positive.end(), true));
  if (total == 0) return not_defined;
  double sum = 0, seen = 0, found = 0;
  for (size_t i = 0; i < order.size();) {
    double p = 0;
    const double value = score[order[i]];
    for (; i < order.size() && score[order[i]] == value; ++i) {
      p += positive[order[i]];
      seen += 1;
    }
    found += p;
    sum += p / total * (found / seen);
  }
  return sum;
}

double log_loss(const std::vector<int32_t>& labels, const std::vector<double>& logits, int64_t classes, const std::vector<double>& weights) {
  DURA_CHECK(logits.size() == labels.size() * static_cast<size_t>(classes), "log loss: ", logits.size(), " logits for ", labels.size(), " rows of ", classes, " classes");
  double total = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    const double* row = logits.data() + i * static_cast<size_t>(classes);
    const double largest = *std::max_element(row, row + classes);
    double sum = 0;
    for (int64_t k = 0; k < classes; ++k) sum += std::exp(row[k] - largest);
    total += (std::log(sum) + largest - row[labels[i]]) * (weights.empty() ? 1.0 : weights[static_cast<size_t>(labels[i])]);
  }
  return labels.empty() ? not_defined : total / static_cast<double>(labels.size());
}

}  // namespace dura
