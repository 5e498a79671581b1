// A backend without bytes: every kernel writes down that it was called. Together with LifetimeRecorder it plans a step without running it:
// multiply-accumulates, parameters, wrong shapes, peak memory, the arena's offsets, and on CUDA the graphs to build.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "engine/core/backend.h"

namespace dura {

struct KernelCall {
  std::string kernel;      // "conv_forward", "mask_and_sum", ...
  std::string label = {};  // of the module at work
  Shape output = {};
  DType dtype = DType::f32;
  ConvGeometry geometry = {};        // convolutions and pooling; dense layers as 1x1 convolutions
  ConvKey key = {};                  // convolutions and dense layers
  BatchNormOptions batch_norm = {};  // batch_norm_training_forward and _backward
  int64_t macs = 0;                  // multiply-accumulates; 0 where the kernel is bound by memory
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
  void download(const Tensor& x, void*) override;
  size_t conv_workspace(const ConvGeometry& g, DType dtype, const ConvKey& key) override;
  BatchNormSpace batch_norm_space(const Shape& x, DType dtype, const BatchNormOptions& options) override;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#define KERNEL(name, parameters, ...) \
  void name parameters override { call(#name, __VA_ARGS__); }
#include "engine/core/kernels.inc"
#pragma GCC diagnostic pop

 private:
  void call(const char* kernel, const Tensor& output) { write_down({.kernel = kernel}, output); }
  void call(const char* kernel, const Tensor& output, const ConvGeometry& g) { write_down({.kernel = kernel, .geometry = g}, output); }
  void call(const char* kernel, const Tensor& output, const ConvGeometry& g, const ConvKey& key) {
    write_down({.kernel = kernel, .geometry = g, .key = key, .macs = g.macs()}, output);
  }
  void call(const char* kernel, const Tensor& output, const BatchNormOptions& options) {
    write_down({.kernel = kernel, .batch_norm = options}, output);
  }
  void write_down(KernelCall made, const Tensor& output);
  // The 1x1 convolution that a dense layer is; x: (N,C) or (N,K), w: (K,C) or undefined.
  static ConvGeometry dense_geometry(const Tensor& x, const Tensor& w);

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
