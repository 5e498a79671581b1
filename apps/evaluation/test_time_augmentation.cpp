#include "apps/evaluation/test_time_augmentation.h"

#include <algorithm>
#include <cmath>

#include "apps/evaluation/temperature.h"

namespace dura {

AveragedPredictions predict_views(Classifier& model, const Dataset& dataset, const TestTimeAugmentation& o) {
  DURA_CHECK(o.views >= 2, "test-time augmentation: ", o.views, " views, at least 2 are needed");
  std::vector<LoaderItem> items;
  for (int64_t i = 0; i < dataset.size(); ++i)
    for (int64_t v = 0; v < o.views; ++v) items.push_back({i, static_cast<uint32_t>(v)});
  // The same policy for every class: a stronger one for the rare class would tell the model which pictures are rare.
  const std::vector<AugmentPolicy> policies(dataset.class_counts().size(), light_augmentation());
  Loader loader(dataset, {.batch_size = o.batch, .policies = policies, .items = items});
  const Predictions all = with_temperature(predict(model, loader, o.capture), o.temperature);

  AveragedPredictions result;
  result.mean.classes = all.classes;
  const auto classes = static_cast<size_t>(all.classes), views = static_cast<size_t>(o.views);
  for (size_t first = 0; first < all.labels.size(); first += views) {
    std::vector<double> mean(classes);
    double squares = 0;
    for (size_t v = first; v < first + views; ++v) {
      for (size_t c = 0; c < classes; ++c) mean[c] += all.probabilities[v * classes + c] / static_cast<double>(views);
      const double p = all.probabilities[v * classes + static_cast<size_t>(o.of_class)];
      squares += p * p / static_cast<double>(views);
    }
    const double p = mean[static_cast<size_t>(o.of_class)];
    result.spread.push_back(std::sqrt(std::max(0.0, squares - p * p)));
    result.mean.samples.push_back(all.samples[first]);
    result.mean.labels.push_back(all.labels[first]);
    for (const double m : mean) {
      // The mean may exceed 1 by rounding; a probability may not.
      result.mean.probabilities.push_back(std::min(m, 1.0));
      // Where every view's probability underflows, the smallest one there is: the log loss stays finite.
      result.mean.logits.push_back(std::isnan(m) ? m : std::log(std::max(m, 1e-300)));
    }
  }
  return result;
}

}  // namespace dura
