#include "apps/training/prediction.h"

#include <functional>
#include <optional>

#include "layers/module.h"

namespace dura {

namespace {

Predictions predict_batches(int64_t classes, Loader& loader, const std::function<Tensor(const Batch&)>& logits_of) {
  Predictions result{.classes = classes, .samples = {}, .labels = {}, .logits = {}, .probabilities = {}};
  for (loader.start_epoch(0); loader.next();) {
    const Batch& batch = loader.batch();
    const std::vector<double> values = download_as_double(logits_of(batch));
    for (int64_t n = 0; n < batch.rows; ++n) {
      result.samples.push_back(batch.samples[static_cast<size_t>(n)]);
      result.labels.push_back(batch.labels.data<int32_t>()[n]);
    }
    result.logits.insert(result.logits.end(), values.begin(), values.begin() + batch.rows * classes);
  }
  result.probabilities = softmax_rows(result.logits, classes);
  return result;
}

int64_t class_count(const Classifier& model) { return static_cast<int64_t>(model.classes().size()); }

}  // namespace

Predictions predict(InferenceStep& step, Loader& loader) {
  return predict_batches(class_count(step.model()), loader, [&](const Batch& batch) { return step.run(batch.images); });
}

Predictions predict(Classifier& model, Loader& loader, bool capture) {
  std::optional<InferenceStep> step;
  return predict_batches(class_count(model), loader, [&](const Batch& batch) {
    if (!step) step.emplace(model, batch.images.shape(), capture);
    return step->run(batch.images);
  });
}

Predictions predict(Classifier& model, Loader& loader, FeatureCache& cache) {
  const NoGradScope no_grad(model);
  return predict_batches(class_count(model), loader, [&](const Batch& batch) {
    const Tensor features = cache.features(batch.images, batch.samples);
    return model.classify(model.backbone().run(features, cache.stage() + 1)).value();
  });
}

}  // namespace dura
