#include "engine/core/backend.h"

namespace dura {

BatchNormSpace Backend::batch_norm_space(const Shape&, DType, const BatchNormForm&) { return {}; }

void Backend::batch_norm_training_forward(const Tensor& x, const BatchNormForm& form, const BatchNormParameters& p, const Tensor& residual,
                                          const Tensor&, const BatchNormBatch& batch, const Tensor& y) {
  channel_statistics(x, batch.mean, batch.variance);
  update_running_statistics(batch.mean, batch.variance, x.numel() / batch.mean.numel(), p.momentum, p.unbiased_running, p.running_mean,
                            p.running_variance);
  fold_batch_norm(p.gamma, p.beta, batch.mean, batch.variance, form.eps, batch.invstd, batch.scale, batch.shift);
  scale_shift_act(x, {batch.scale, batch.shift, residual, form.relu}, y);
}

void Backend::batch_norm_training_backward(const Tensor& dy, const Tensor& x, const Tensor& y, const BatchNormForm& form, const Tensor&,
                                           const BatchNormBatch& batch, const Tensor&, const Tensor& g, const Tensor& sum_g,
                                           const Tensor& sum_gx, const Tensor& dx) {
  const ConvEpilogue masked{batch.scale, batch.shift, {}, form.relu}, plain{batch.scale, batch.shift, {}, false};
  batch_norm_backward_sums(dy, x, y, masked, batch.mean, batch.invstd, sum_g, sum_gx, g);
  if (!dx.defined()) return;
  // Where the masked gradient was written anyway, the second pass reads that.
  batch_norm_backward_data(g.defined() ? g : dy, x, g.defined() ? Tensor() : y, g.defined() ? plain : masked, batch.mean, batch.invstd,
                           sum_g, sum_gx, {dx, false});
}

void Backend::check_color_map(const Tensor& x, const Tensor& map, const Tensor& y) {
  const Shape &pictures = x.shape(), &maps = map.shape();
  DURA_CHECK(pictures.rank() == 4 && (pictures[3] == 1 || pictures[3] == 3) && maps.rank() == 3 && maps[0] == pictures[0] &&
                 y.shape() == Shape({pictures[0], pictures[1], pictures[2], 3}),
             "color_map: pictures ", describe(x), ", maps ", describe(map), ", output ", describe(y),
             "; expected u8 (N,H,W,1 or 3), f32 (N,h,w) and u8 (N,H,W,3)");
}

std::shared_ptr<MemorySource> device_pool(Device device) { return device_backend(device).memory(); }
size_t device_memory_bytes(Device device) { return device_backend(device).memory_bytes(); }

}  // namespace dura
