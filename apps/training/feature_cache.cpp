#include "apps/training/feature_cache.h"

#include "engine/base/log.h"
#include "engine/core/tensor.h"
#include "layers/module.h"

namespace dura {

int last_frozen_stage(Classifier& model) {
  int last = ResNet::stages - 1;
  for (const ConvBn* u : model.backbone().units())
    if (u->trainable() || u->bn.keeps_batch_statistics()) last = std::min(last, ResNet::stage_of(*u) - 1);
  return last;
}

size_t default_feature_budget() { return device_memory_bytes(Device::cpu) / 4; }

FeatureCache::FeatureCache(Classifier& model, size_t budget_bytes)
    : model_(model), budget_(budget_bytes), stage_(last_frozen_stage(model)) {}

Shape FeatureCache::feature_shape(const Shape& images) { return model_.backbone().output_shape(images, stage_); }

Tensor FeatureCache::features(const Tensor& images, const std::vector<int64_t>& samples) {
  DURA_CHECK(stage_ >= 0, "features: the stem is not frozen, so there is nothing to keep");
  Backend& b = backend(model_.options().backbone.tensors.device);
  const int64_t N = images.shape()[0];
  DURA_CHECK(static_cast<int64_t>(samples.size()) == N, "features: ", samples.size(), " sample numbers for ", N, " images");
  bool all_known = true;
  for (int64_t s : samples) all_known = all_known && (s < 0 || rows_.count(s));

  if (!all_known) {
    const NoGradScope no_grad(model_);
    const Tensor computed = model_.backbone().run(model_.normalize(images), 0, stage_).value();
    const int64_t width = computed.numel() / N;
    for (int64_t n = 0; n < N; ++n) {
      if (samples[static_cast<size_t>(n)] < 0 || rows_.count(samples[static_cast<size_t>(n)])) continue;
      const Tensor row = computed.slice(n * width, {computed.shape()[1], computed.shape()[2], computed.shape()[3]});
      if (bytes_ + row.bytes() > budget_) {
        if (!full_)
          log_info("feature cache: the budget of ", budget_ >> 20, " MiB is used up by ", rows_.size(),
                   " images; the features of the others are computed again each time");
        full_ = true;
        continue;
      }
      rows_.emplace(samples[static_cast<size_t>(n)], host_copy(row, "cached features"));
      bytes_ += row.bytes();
    }
    return computed;
  }
  const Tensor& first = rows_.at(samples.front());
  const Tensor batch =
      Tensor::empty({N, first.shape()[0], first.shape()[1], first.shape()[2]}, first.dtype(), b.device(), "cached features");
  for (int64_t n = 0; n < N; ++n) {
    const int64_t s = samples[static_cast<size_t>(n)];
    b.upload((s < 0 ? first : rows_.at(s)).raw(),
             batch.slice(n * first.numel(), first.shape()));  // what pads a batch only has to be finite
  }
  return batch;
}

}  // namespace dura
