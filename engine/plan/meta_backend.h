// A backend without bytes: every kernel writes down that it was called. Together with LifetimeRecorder it plans a step without running it:
// multiply-accumulates, parameters, wrong shapes, peak memory, the arena's offsets, and on CUDA the graphs to build.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "engine/core/backend.h"

namespace dura {

struct KernelCall {
  std::string kernel;  // "conv_forward", "mask_and_sum", ...
  std::string label;   // of the module at work
  Shape output;
  DType dtype = DType::f32;
  ConvGeometry geometry;     // convolutions and pooling; dense layers as 1x1 convolutions
  ConvForm form;             // convolutions and dense layers
  BatchNormForm batch_norm;  // batch_norm_training_forward and _backward
  int64_t macs = 0;          // multiply-accumulates; 0 where the kernel is bound by memory
};

class MetaBackend final : public Backend {
 public:
  // Workspaces and masks are those of `target`'s kernels, or all workspaces are taken to be `workspace` bytes.
  MetaBackend(Device device, Device target, std::optional<size_t> workspace = {})
      : device_(device), target_(target), workspace_(workspace) {}

  const std::vector<KernelCall>& calls() const { return calls_; }

  Device device() const override { return device_; }
  std::shared_ptr<MemorySource> memory() override;  // counts, and hands out no bytes
  size_t memory_bytes() override { return 0; }
  void fill(const Tensor& x, double) override { call("fill", x); }
  void copy(const Tensor&, const Tensor& y) override { call("copy", y); }
  void upload(const void*, const Tensor& y) override { call("upload", y); }
  void download(const Tensor& x, void*) override;
  void cast(const Tensor&, const Tensor& y) override { call("cast", y); }
  void add(const Tensor&, const Tensor&, const Tensor& y) override { call("add", y); }
  void accumulate(const Tensor&, const Tensor& y) override { call("accumulate", y); }
  void relu_forward(const Tensor&, const Tensor& y) override { call("relu_forward", y); }
  void relu_backward(const Tensor&, const Tensor&, GradTarget dx) override { call("relu_backward", dx.tensor); }
  void dropout(const Tensor&, double, uint64_t, const Tensor&, GradTarget y) override { call("dropout", y.tensor); }
  size_t conv_workspace(const ConvGeometry& g, DType dtype, const ConvForm& form) override;
  void conv_forward(const ConvGeometry& g, const Tensor&, const Weight&, const ConvEpilogue& e, const Tensor&, const Tensor& y) override {
    call("conv_forward", y, g.macs(), g, form_of(e));
  }
  void conv_backward_data(const ConvGeometry& g, const Tensor&, const Weight&, const FoldedScale& scale, const Tensor&,
                          GradTarget dx) override {
    call("conv_backward_data", dx.tensor, g.macs(), g,
         {.pass = ConvPass::backward_data, .scale = scale.scale.defined(), .accumulate = dx.accumulate});
  }
  void conv_backward_filter(const ConvGeometry& g, const Tensor&, const Tensor&, const Tensor&, GradTarget dw) override {
    call("conv_backward_filter", dw.tensor, g.macs(), g, {.pass = ConvPass::backward_filter, .accumulate = dw.accumulate});
  }
  void channel_statistics(const Tensor&, const Tensor& mean, const Tensor&) override { call("channel_statistics", mean); }
  void update_running_statistics(const Tensor&, const Tensor&, int64_t, double, bool, const Tensor& running_mean, const Tensor&) override {
    call("update_running_statistics", running_mean);
  }
  void fold_batch_norm(const Tensor&, const Tensor&, const Tensor&, const Tensor&, double, const Tensor&, const Tensor& scale,
                       const Tensor&) override {
    call("fold_batch_norm", scale);
  }
  void scale_shift_act(const Tensor&, const ConvEpilogue&, const Tensor& y) override { call("scale_shift_act", y); }
  void batch_norm_backward_sums(const Tensor& dy, const Tensor&, const Tensor&, const ConvEpilogue&, const Tensor&, const Tensor&,
                                const Tensor&, const Tensor&, const Tensor&) override {
    call("batch_norm_backward_sums", dy);
  }
  void batch_norm_backward_data(const Tensor&, const Tensor&, const Tensor&, const ConvEpilogue&, const Tensor&, const Tensor&,
                                const Tensor&, const Tensor&, GradTarget dx) override {
    call("batch_norm_backward_data", dx.tensor);
  }
  BatchNormSpace batch_norm_space(const Shape& x, DType dtype, const BatchNormForm& form) override;
  void batch_norm_training_forward(const Tensor&, const BatchNormForm& form, const BatchNormParameters&, const Tensor&, const Tensor&,
                                   const BatchNormBatch&, const Tensor& y) override {
    call("batch_norm_training_forward", y, 0, {}, {}, form);
  }
  void batch_norm_training_backward(const Tensor& dy, const Tensor&, const Tensor&, const BatchNormForm& form, const Tensor&,
                                    const BatchNormBatch&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                                    const Tensor&) override {
    call("batch_norm_training_backward", dy, 0, {}, {}, form);
  }
  void mask_and_sum(const Tensor& dy, const Tensor&, bool, const Tensor&, const Tensor&) override { call("mask_and_sum", dy); }
  void frozen_batch_norm_grads(const Tensor& raw, const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&, GradTarget,
                               GradTarget) override {
    call("frozen_batch_norm_grads", raw);
  }
  void write_or_add(const Tensor&, GradTarget y) override { call("write_or_add", y.tensor); }
  void max_pool_forward(const ConvGeometry& g, const Tensor&, const Tensor& y, const Tensor&) override {
    call("max_pool_forward", y, 0, g);
  }
  void max_pool_backward(const ConvGeometry& g, const Tensor&, const Tensor&, GradTarget dx) override {
    call("max_pool_backward", dx.tensor, 0, g);
  }
  void global_mean_forward(const Tensor&, const Tensor& y) override { call("global_mean_forward", y); }
  void global_mean_backward(const Tensor&, GradTarget dx) override { call("global_mean_backward", dx.tensor); }
  void linear_forward(const Tensor& x, const Tensor& w, const Tensor& b, const Tensor& y) override {
    const ConvGeometry g = dense_geometry(x.shape()[0], w);
    call("linear_forward", y, g.macs(), g, {.bias = b.defined()});
  }
  void linear_backward_data(const Tensor& dy, const Tensor& w, GradTarget dx) override {
    const ConvGeometry g = dense_geometry(dy.shape()[0], w);
    call("linear_backward_data", dx.tensor, g.macs(), g, {.pass = ConvPass::backward_data, .accumulate = dx.accumulate});
  }
  void linear_backward_weight(const Tensor&, const Tensor& dy, GradTarget dw, GradTarget) override {
    const ConvGeometry g = dw.wanted() ? dense_geometry(dy.shape()[0], dw.tensor) : ConvGeometry{};
    call("linear_backward_weight", dw.wanted() ? dw.tensor : dy, g.macs(), g,
         {.pass = ConvPass::backward_filter, .accumulate = dw.accumulate});
  }
  void softmax(const Tensor&, const Tensor& p) override { call("softmax", p); }
  void cross_entropy_forward(const Tensor&, const Tensor&, const Tensor&, const CrossEntropyOptions&, const Tensor&,
                             const Tensor& loss) override {
    call("cross_entropy_forward", loss);
  }
  void cross_entropy_backward(const Tensor&, const Tensor&, const Tensor&, const CrossEntropyOptions&, const Tensor&,
                              GradTarget dlogits) override {
    call("cross_entropy_backward", dlogits.tensor);
  }
  void add_metrics(const Tensor&, const Tensor&, const Tensor&, const Tensor& sums) override { call("add_metrics", sums); }
  void scale_by_loss_scale(const Tensor&, const Tensor&, const Tensor& y) override { call("scale_by_loss_scale", y); }
  void check_gradients(const Tensor& grad, const Tensor&) override { call("check_gradients", grad); }
  void adam_update(const Tensor& master, const Tensor&, const Tensor&, const Tensor&, const Tensor&, const AdamOptions&,
                   const Tensor&) override {
    call("adam_update", master);
  }
  void advance_state(const LossScaleOptions&, bool, const Tensor& state) override { call("advance_state", state); }
  void normalize(const Tensor&, const float*, const float*, bool, const Tensor& y) override { call("normalize", y); }
  void warp(const Tensor&, const Tensor&, const Tensor& y) override { call("warp", y); }
  void enhance(const Tensor&, const Tensor&, const Tensor& y) override { call("enhance", y); }
  void weighted_channel_sum(const Tensor&, const Tensor&, bool, const Tensor& y) override { call("weighted_channel_sum", y); }
  void color_map(const Tensor&, const Tensor&, const MapPlacement&, double, const Tensor& y) override { call("color_map", y); }

 private:
  void call(const char* kernel, const Tensor& output, int64_t macs = 0, const ConvGeometry& g = {}, const ConvForm& form = {},
            const BatchNormForm& batch_norm = {});
  // w: (K,C)
  static ConvGeometry dense_geometry(int64_t N, const Tensor& w) {
    return {.N = N, .H = 1, .W = 1, .C = w.shape()[1], .K = w.shape()[0], .R = 1, .S = 1, .P = 1, .Q = 1, .stride = 1, .padding = 0};
  }

  Device device_, target_;
  std::optional<size_t> workspace_;
  std::vector<KernelCall> calls_;
};

// While it lives, kernels of this thread for `device` are recorded instead of run, and tensors made there have no bytes. Existing tensors
// keep theirs, so a step of a real model can be planned: nothing it would change changes.
class DryRun {
 public:
  // With `workspace`, no kernel is asked for the size of its own: asking a card for one that it has not run yet can take seconds.
  explicit DryRun(Device device, std::optional<size_t> workspace = {});
  ~DryRun();
  DryRun(const DryRun&) = delete;
  DryRun& operator=(const DryRun&) = delete;

  const std::vector<KernelCall>& calls() const { return backend_.calls(); }
  MemoryPlan memory_plan() const { return plan_memory(recorder_->lifetimes()); }

  // The recording backend for `device` on this thread; null outside of a dry run.
  static Backend* active(Device device);

 private:
  MetaBackend backend_;
  std::shared_ptr<LifetimeRecorder> recorder_;
  MemoryScope scope_;
  DryRun* outer_;
};

}  // namespace dura
