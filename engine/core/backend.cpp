#include "engine/core/backend.h"

namespace dura {

void Backend::batch_norm_training_forward(const Tensor& x, const BatchNormOptions& options, const BatchNormParameters& p,
                                          const Tensor& residual, const Tensor&, const BatchNormStatistics& batch, const Tensor& y) {
  channel_statistics(x, batch.mean, batch.variance);
  update_running_statistics(batch, x.numel() / batch.mean.numel(), p);
  fold_batch_norm(p.gamma, p.beta, options.eps, batch);
  scale_shift_act(x, {batch.scale, batch.shift, residual, options.relu}, y);
}

void Backend::batch_norm_training_backward(const BatchNormBackward& in, const BatchNormOptions&, const Tensor&, const Tensor&,
                                           const BatchNormGradients& out) {
  batch_norm_backward_sums(in, out);
  if (!out.dx.wanted()) return;
  // Where the masked gradient was written anyway, the second pass reads that.
  if (out.g.defined())
    batch_norm_backward_data({.dy = out.g, .x = in.x, .statistics = in.statistics}, out);
  else
    batch_norm_backward_data(in, out);
}

void Backend::fold_filter(const Tensor&, const Tensor&, const Tensor&, const Tensor&) {
  fail("the ", device_name(device()), " backend folds no filters; folded_filter_bytes() says so");
}

std::shared_ptr<MemorySource> device_pool(Device device) { return device_backend(device).memory(); }
size_t device_memory_bytes(Device device) { return device_backend(device).memory_bytes(); }

}  // namespace dura
