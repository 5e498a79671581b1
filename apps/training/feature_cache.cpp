#include "apps/training/feature_cache.h"

#include <cstring>

#include "engine/base/log.h"
#include "engine/comm/communicator.h"
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

Tensor FeatureCache::compute(const Tensor& images) const {
  const NoGradScope no_grad(model_);
  return model_.backbone().run(model_.normalize(images), 0, stage_).value();
}

void FeatureCache::remember(const Tensor& features, const std::vector<int64_t>& pictures) {
  const Shape& s = features.shape();
  const int64_t width = features.numel() / s[0];
  for (int64_t n = 0; n < s[0]; ++n) {
    const int64_t picture = pictures[static_cast<size_t>(n)];
    if (picture < 0 || rows_.count(picture)) continue;
    const Tensor row = features.slice(n * width, {s[1], s[2], s[3]});
    if (bytes_ + row.bytes() > budget_) {
      if (!full_)
        log_info("feature cache: the budget of ", budget_ >> 20, " MiB is used up by ", rows_.size(),
                 " images; the features of the others are computed again each time");
      full_ = true;
      continue;
    }
    rows_.emplace(picture, host_copy(row, "cached features"));
    bytes_ += row.bytes();
  }
}

void FeatureCache::fill(const Tensor& images, const std::vector<int64_t>& pictures, const Shape& shape, Communicator& ranks) {
  if (ranks.size() == 1) {
    features(images, pictures);
    return;
  }
  Tensor own;
  if (images.defined()) own = host_copy(compute(images), "features");
  // Every process takes all of them in the same order, so that they hold the same ones within their budget.
  const auto bytes = own.defined() ? std::span(static_cast<const std::byte*>(own.raw()), own.bytes()) : std::span<const std::byte>();
  const std::vector<std::vector<std::byte>> all = ranks.gather(bytes), numbers = ranks.gather(std::as_bytes(std::span(pictures)));
  for (size_t r = 0; r < all.size(); ++r) {
    if (all[r].empty()) continue;
    std::vector<int64_t> of_rank(numbers[r].size() / sizeof(int64_t));
    std::memcpy(of_rank.data(), numbers[r].data(), numbers[r].size());
    const Tensor received = Tensor::empty(shape, model_.options().backbone.tensors.compute, Device::cpu, "features");
    DURA_CHECK(all[r].size() == received.bytes(), "features: ", ranks.name_of(static_cast<int64_t>(r)), " sent ", all[r].size(),
               " bytes, expected ", received.bytes());
    std::memcpy(received.raw(), all[r].data(), all[r].size());
    remember(received, of_rank);
  }
}

Tensor FeatureCache::features(const Tensor& images, const std::vector<int64_t>& pictures) {
  DURA_CHECK(stage_ >= 0, "features: the stem is not frozen, so there is nothing to keep");
  Backend& b = backend(model_.options().backbone.tensors.device);
  const int64_t N = images.shape()[0];
  DURA_CHECK(static_cast<int64_t>(pictures.size()) == N, "features: ", pictures.size(), " picture numbers for ", N, " images");
  bool all_known = true;
  for (int64_t s : pictures) all_known = all_known && (s < 0 || rows_.count(s));

  if (!all_known) {
    const Tensor computed = compute(images);
    remember(computed, pictures);
    return computed;
  }
  const Tensor& first = rows_.at(pictures.front());
  const Tensor batch =
      Tensor::empty({N, first.shape()[0], first.shape()[1], first.shape()[2]}, first.dtype(), b.device(), "cached features");
  for (int64_t n = 0; n < N; ++n) {
    const int64_t s = pictures[static_cast<size_t>(n)];
    b.upload((s < 0 ? first : rows_.at(s)).raw(),
             batch.slice(n * first.numel(), first.shape()));  // what pads a batch only has to be finite
  }
  return batch;
}

}  // namespace dura
