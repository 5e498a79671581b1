#include "apps/training/prediction.h"

#include <optional>

#include "layers/module.h"

namespace dura {

void append_row(Predictions& to, const Predictions& from, size_t row) {
  const auto classes = static_cast<std::ptrdiff_t>(from.classes), at = static_cast<std::ptrdiff_t>(row) * classes;
  to.samples.push_back(from.samples[row]);
  to.labels.push_back(from.labels[row]);
  to.logits.insert(to.logits.end(), from.logits.begin() + at, from.logits.begin() + at + classes);
  to.probabilities.insert(to.probabilities.end(), from.probabilities.begin() + at, from.probabilities.begin() + at + classes);
}

namespace {

Predictions predict_batches(int64_t classes, Loader& loader, const std::function<Tensor(const Batch&)>& logits_of,
                            const BetweenBatches& before = {}) {
  Predictions result{.classes = classes, .samples = {}, .labels = {}, .logits = {}, .probabilities = {}};
  for (loader.start_epoch(0); loader.next();) {
    if (before) before();
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

Predictions predict(InferenceStep& step, Loader& loader, const FeatureUse& use, const BetweenBatches& before) {
  return predict_batches(
      class_count(step.model()), loader,
      [&](const Batch& batch) {
        const Tensor logits = step.run(batch.images);
        if (use) use(batch, step.features());
        return logits;
      },
      before);
}

Predictions predict(Classifier& model, Loader& loader, bool capture) {
  std::optional<InferenceStep> step;
  return predict_batches(class_count(model), loader, [&](const Batch& batch) {
    if (!step) step.emplace(model, batch.images.shape(), capture);
    return step->run(batch.images);
  });
}

Predictions predict(Classifier& model, Loader& loader, FeatureCache& cache, const FeatureUse& use, const BetweenBatches& before) {
  const NoGradScope no_grad(model);
  return predict_batches(
      class_count(model), loader,
      [&](const Batch& batch) {
        const Tensor features = cache.features(batch.images, batch.pictures);
        const Var behind = model.backbone().run(features, cache.stage() + 1);
        if (use) use(batch, behind.value());
        return model.classify(behind).value();
      },
      before);
}

LoaderOptions own_batches(const Dataset& dataset, LoaderOptions all, Communicator& ranks) {
  if (all.items.empty())
    for (int64_t i = 0; i < dataset.size(); ++i) all.items.push_back({i, 0});
  const Stretch own = ranks.work().own_batches(std::ssize(all.items), all.batch_size);
  all.items = {all.items.begin() + own.begin, all.items.begin() + own.end};
  return all;
}

Predictions predict(Classifier& model, const Dataset& dataset, const LoaderOptions& all, bool capture, Communicator& ranks) {
  const LoaderOptions own = own_batches(dataset, all, ranks);
  Predictions answers{.classes = class_count(model)};
  if (!own.items.empty()) {
    Loader loader(dataset, own);
    answers = predict(model, loader, capture);
  }
  return gathered(answers, ranks);
}

Predictions gathered(const Predictions& own, Communicator& ranks) {
  const SharedWork work = ranks.work();
  Predictions all{.classes = own.classes, .samples = {}, .labels = {}, .logits = {}, .probabilities = {}};
  all.samples = work.in_a_row(own.samples), all.labels = work.in_a_row(own.labels);
  all.logits = work.in_a_row(own.logits), all.probabilities = work.in_a_row(own.probabilities);
  return all;
}

}  // namespace dura
