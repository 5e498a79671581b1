// The CPU's kernels. f32 convolutions have hand-written SIMD (conv_f32.h); everything else is plain loops over any storage type, cut by
// shape. Partial sums of two-stage reductions (a few hundred KB at most) are on the heap, not in the workspace.
#pragma once
#include "engine/core/backend.h"

namespace dura {

class CpuBackend final : public Backend {
 public:
  Device device() const override { return Device::cpu; }
  std::shared_ptr<MemorySource> memory() override;
  size_t memory_bytes() override;
  void fill(const Tensor& x, double value) override;
  void copy(const Tensor& x, const Tensor& y) override;
  void upload(const void* host, const Tensor& y) override;
  void download(const Tensor& x, void* host) override;
  void cast(const Tensor& x, const Tensor& y) override;
  void add(const Tensor& a, const Tensor& b, const Tensor& y) override;
  void accumulate(const Tensor& x, const Tensor& y) override;
  void relu_forward(const Tensor& x, const Tensor& y) override;
  void relu_backward(const Tensor& dy, const Tensor& y, GradTarget dx) override;
  void dropout(const Tensor& x, double p, uint64_t key, const Tensor& row_keys, GradTarget y) override;
  size_t conv_workspace(const ConvGeometry& g, DType dtype, const ConvForm& form) override;
  void conv_forward(const ConvGeometry& g, const Tensor& x, const Weight& w, const ConvEpilogue& e, const Tensor& workspace,
                    const Tensor& y) override;
  void conv_backward_data(const ConvGeometry& g, const Tensor& dy, const Weight& w, const FoldedScale& scale, const Tensor& workspace,
                          GradTarget dx) override;
  void conv_backward_filter(const ConvGeometry& g, const Tensor& x, const Tensor& dy, const Tensor& workspace, GradTarget dw) override;
  void channel_statistics(const Tensor& x, const Tensor& mean, const Tensor& variance) override;
  void update_running_statistics(const Tensor& mean, const Tensor& variance, int64_t count, double momentum, bool unbiased,
                                 const Tensor& running_mean, const Tensor& running_variance) override;
  void fold_batch_norm(const Tensor& gamma, const Tensor& beta, const Tensor& mean, const Tensor& variance, double eps,
                       const Tensor& invstd, const Tensor& scale, const Tensor& shift) override;
  void scale_shift_act(const Tensor& x, const ConvEpilogue& e, const Tensor& y) override;
  void batch_norm_backward_sums(const Tensor& dy, const Tensor& x, const Tensor& y, const ConvEpilogue& e, const Tensor& mean,
                                const Tensor& invstd, const Tensor& sum_g, const Tensor& sum_gx, const Tensor& g) override;
  void batch_norm_backward_data(const Tensor& dy, const Tensor& x, const Tensor& y, const ConvEpilogue& e, const Tensor& mean,
                                const Tensor& invstd, const Tensor& sum_g, const Tensor& sum_gx, GradTarget dx) override;
  void mask_and_sum(const Tensor& dy, const Tensor& y, bool relu, const Tensor& g, const Tensor& sum_g) override;
  void frozen_batch_norm_grads(const Tensor& raw, const Tensor& w, const Tensor& scale, const Tensor& mean, const Tensor& invstd,
                               const Tensor& sum_g, GradTarget dw, GradTarget dgamma) override;
  void write_or_add(const Tensor& x, GradTarget y) override;
  void max_pool_forward(const ConvGeometry& g, const Tensor& x, const Tensor& y, const Tensor& index) override;
  void max_pool_backward(const ConvGeometry& g, const Tensor& dy, const Tensor& index, GradTarget dx) override;
  void global_mean_forward(const Tensor& x, const Tensor& y) override;
  void global_mean_backward(const Tensor& dy, GradTarget dx) override;
  void linear_forward(const Tensor& x, const Tensor& w, const Tensor& b, const Tensor& y) override;
  void linear_backward_data(const Tensor& dy, const Tensor& w, GradTarget dx) override;
  void linear_backward_weight(const Tensor& x, const Tensor& dy, GradTarget dw, GradTarget db) override;
  void softmax(const Tensor& logits, const Tensor& probabilities) override;
  void cross_entropy_forward(const Tensor& logits, const Tensor& labels, const Tensor& class_weights, const CrossEntropyOptions& options,
                             const Tensor& probabilities, const Tensor& loss) override;
  void cross_entropy_backward(const Tensor& probabilities, const Tensor& labels, const Tensor& class_weights,
                              const CrossEntropyOptions& options, const Tensor& dloss, GradTarget dlogits) override;
  void add_metrics(const Tensor& probabilities, const Tensor& labels, const Tensor& loss, const Tensor& sums) override;
  void scale_by_loss_scale(const Tensor& x, const Tensor& state, const Tensor& y) override;
  void check_gradients(const Tensor& grad, const Tensor& state) override;
  void adam_update(const Tensor& master, const Tensor& grad, const Tensor& m, const Tensor& v, const Tensor& compute,
                   const AdamOptions& options, const Tensor& state) override;
  void advance_state(const LossScaleOptions& options, bool scaled, const Tensor& state) override;
  void normalize(const Tensor& x, const float mean[3], const float std[3], bool bgr, const Tensor& y) override;
  void warp(const Tensor& x, const Tensor& matrices, const Tensor& y) override;
  void enhance(const Tensor& x, const Tensor& parameters, const Tensor& y) override;
  void weighted_channel_sum(const Tensor& a, const Tensor& alpha, bool relu, const Tensor& y) override;
  void color_map(const Tensor& x, const Tensor& map, const MapPlacement& placement, double opacity, const Tensor& y) override;
};

}  // namespace dura
