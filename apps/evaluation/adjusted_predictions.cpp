#include "apps/evaluation/adjusted_predictions.h"

#include <algorithm>
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

AveragedPredictions mean_of(const std::vector<Predictions>& answers, int64_t of_class) {
  DURA_CHECK(!answers.empty(), "the mean of no answers was asked for");
  for (const Predictions& a : answers)
    DURA_CHECK(a.samples == answers[0].samples && a.classes == answers[0].classes, "answers to different pictures or in different classes");
  if (answers.size() == 1) return {answers[0], std::vector<double>(answers[0].samples.size())};
  AveragedPredictions result;
  result.mean = {.classes = answers[0].classes, .samples = answers[0].samples, .labels = answers[0].labels};
  const auto classes = static_cast<size_t>(result.mean.classes), count = answers.size();
  for (size_t i = 0; i < result.mean.samples.size(); ++i) {
    std::vector<double> mean(classes);
    double squares = 0;
    for (const Predictions& a : answers) {
      for (size_t c = 0; c < classes; ++c) mean[c] += a.probabilities[i * classes + c] / static_cast<double>(count);
      const double p = a.probabilities[i * classes + static_cast<size_t>(of_class)];
      squares += p * p / static_cast<double>(count);
    }
    const double p = mean[static_cast<size_t>(of_class)];
    result.spread.push_back(std::sqrt(std::max(0.0, squares - p * p)));
    for (const double m : mean) {
      // The mean may exceed 1 by rounding; a probability may not.
      result.mean.probabilities.push_back(std::min(m, 1.0));
      // Where every answer's probability underflows, the smallest one there is: the log loss stays finite.
      result.mean.logits.push_back(std::isnan(m) ? m : std::log(std::max(m, 1e-300)));
    }
  }
  return result;
}

std::vector<Predictions> predict_views(Classifier& model, const Dataset& dataset, const TestTimeAugmentation& o, Communicator& ranks) {
  DURA_CHECK(o.views >= 2, "test-time augmentation: ", o.views, " views, at least 2 are needed");
  std::vector<LoaderItem> items;
  for (int64_t i = 0; i < dataset.size(); ++i)
    for (int64_t v = 0; v < o.views; ++v) items.push_back({i, static_cast<uint32_t>(v)});
  // The same policy for every class: a stronger one for the rare class would tell the model which pictures are rare.
  const std::vector<AugmentPolicy> policies(dataset.class_counts().size(), light_augmentation());
  const Predictions all = predict(model, dataset, {.batch_size = o.batch, .policies = policies, .items = items}, o.capture, ranks);

  std::vector<Predictions> views(static_cast<size_t>(o.views), Predictions{.classes = all.classes});
  for (size_t row = 0; row < all.labels.size(); ++row) append_row(views[row % views.size()], all, row);
  return views;
}

}  // namespace dura
