#include "apps/training/prediction.h"

#include <algorithm>
#include <cmath>

namespace dura {

std::vector<double> download_as_double(const Tensor& t) {
  Tensor host = Tensor::empty(t.shape(), t.dtype(), Device::cpu);
  backend(t.device()).download(t, host.raw());
  const Tensor wide = Tensor::empty(t.shape(), DType::f64, Device::cpu);
  backend(Device::cpu).cast(host, wide);
  return {wide.data<double>(), wide.data<double>() + wide.numel()};
}

std::vector<double> softmax_rows(const std::vector<double>& logits, int64_t classes) {
  std::vector<double> p = logits;
  for (auto row = p.begin(); row != p.end(); row += classes) {
    const double largest = *std::max_element(row, row + classes);
    double sum = 0;
    for (auto v = row; v != row + classes; ++v) sum += * v = std::exp(*v - largest);
    for (auto v = row; v != row + classes; ++v) *v /= sum;
  }
  return p;
}

Predictions predict(Classifier& model, Loader& loader, FeatureCache* cache) {
  const bool was_training = model.training();
  model.set_training(false);
  Predictions result{
      .classes = static_cast<int64_t>(model.classes().size()), .samples = {}, .labels = {}, .logits = {}, .probabilities = {}};
  for (loader.start_epoch(0); loader.next();) {
    const Batch& batch = loader.batch();
    Tensor logits;
    if (cache && cache->stage() >= 0) {
      const Tensor features = cache->features(batch.images, batch.samples);
      const int next = cache->stage() + 1;
      logits = model.classify(next < ResNet::stages ? model.backbone().run(features, next) : Var(features)).value();
    } else {
      const Tensor images = Tensor::empty(batch.images.shape(), DType::u8, model.options().backbone.tensors.device, "images");
      backend(images.device()).upload(batch.images.raw(), images);
      logits = model(model.normalize(images)).value();
    }
    const std::vector<double> values = download_as_double(logits);
    for (int64_t n = 0; n < batch.rows; ++n) {
      result.samples.push_back(batch.samples[static_cast<size_t>(n)]);
      result.labels.push_back(batch.labels.data<int32_t>()[n]);
    }
    result.logits.insert(result.logits.end(), values.begin(), values.begin() + batch.rows * result.classes);
  }
  result.probabilities = softmax_rows(result.logits, result.classes);
  model.set_training(was_training);
  return result;
}

}  // namespace dura
