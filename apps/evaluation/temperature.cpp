#include "apps/evaluation/temperature.h"

#include <cmath>

#include "engine/base/check.h"

namespace dura {
namespace {

constexpr double lowest = 0.05, highest = 20;

// d/db of the mean of log(sum_k exp(b z_k)) - b z_label: the expected logit less the true one.
double slope(const std::vector<int32_t>& labels, const std::vector<double>& logits, int64_t classes, double b) {
  std::vector<double> scaled = logits;
  for (double& z : scaled) z *= b;
  const std::vector<double> p = softmax_rows(scaled, classes);
  double sum = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    const size_t row = i * static_cast<size_t>(classes);
    for (size_t k = 0; k < static_cast<size_t>(classes); ++k) sum += p[row + k] * logits[row + k];
    sum -= logits[row + static_cast<size_t>(labels[i])];
  }
  return sum / static_cast<double>(labels.size());
}

}  // namespace

Temperature fit_temperature(const std::vector<int32_t>& labels, const std::vector<double>& logits, int64_t classes) {
  DURA_CHECK(!labels.empty(), "a temperature cannot be fitted on no pictures");
  DURA_CHECK(logits.size() == labels.size() * static_cast<size_t>(classes), "temperature: ", logits.size(), " logits for ", labels.size(),
             " rows of ", classes, " classes");
  for (const double z : logits)
    DURA_CHECK(std::isfinite(z),
               "a temperature cannot be fitted: the model's answers on validation are not finite. The model has diverged.");
  double low = 1 / highest, high = 1 / lowest;  // of b = 1/T
  if (slope(labels, logits, classes, low) >= 0) return {highest, true};
  if (slope(labels, logits, classes, high) <= 0) return {lowest, true};
  for (int i = 0; i < 100; ++i) {
    const double middle = (low + high) / 2;
    (slope(labels, logits, classes, middle) < 0 ? low : high) = middle;
  }
  return {2 / (low + high), false};
}

Predictions with_temperature(Predictions predictions, double temperature) {
  for (double& z : predictions.logits) z /= temperature;
  predictions.probabilities = softmax_rows(predictions.logits, predictions.classes);
  return predictions;
}

}  // namespace dura
