// The CUDA backend: the kernels of engine/core/backend.h on one stream of a Driver. Convolutions are graphs (graph.h) for cuDNN, dense layers
// are cublasLt's, everything else is ours. It computes in f32, f16 and bf16 with f32 statistics; f64 exists for the step state and metric
// sums.
//
// Partial sums of two-stage reductions lie in one scratch buffer that lives as long as the backend: the stream's order keeps its users
// apart.
#pragma once
#include <memory>

#include "engine/core/backend.h"
#include "engine/cuda/kernel.h"
#include "engine/cuda/staging.h"

namespace dura::cuda {
inline namespace DURA_CUDA_BUILD {

class CudaBackend final : public Backend {
 public:
  // `memory` and `watcher` are the device's and outlive the backend.
  CudaBackend(Driver& driver, Stream stream, std::shared_ptr<MemorySource> memory, BlockWatcher* watcher)
      : driver_(driver), stream_(stream), memory_(std::move(memory)), watcher_(watcher), staging_(driver, stream) {}

  Device device() const override { return driver_.device(); }
  std::shared_ptr<MemorySource> memory() override { return memory_; }
  size_t memory_bytes() override { return driver_.memory_bytes(); }
  BlockWatcher* watcher() override { return watcher_; }
  bool workspace_is_slow() override { return device() == Device::cuda; }
  bool captures() override { return true; }
  std::unique_ptr<Replay> capture(const std::function<void()>& body) override;
  void allow_tf32(bool allowed) override { driver_.allow_tf32(allowed); }
  void fill(const Tensor& x, double value) override;
  void copy(const Tensor& x, const Tensor& y) override;
  void upload(const void* host, const Tensor& y) override;
  void download(const Tensor& x, void* host) override;
  void cast(const Tensor& x, const Tensor& y) override;
  void add(const Tensor& a, const Tensor& b, const Tensor& y) override;
  void accumulate(const Tensor& x, const Tensor& y) override { add(y, x, y); }
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
  BatchNormSpace batch_norm_space(const Shape& x, DType dtype, const BatchNormForm& form) override;
  void batch_norm_training_forward(const Tensor& x, const BatchNormForm& form, const BatchNormParameters& parameters,
                                   const Tensor& residual, const Tensor& workspace, const BatchNormBatch& batch, const Tensor& y) override;
  void batch_norm_training_backward(const Tensor& dy, const Tensor& x, const Tensor& y, const BatchNormForm& form, const Tensor& gamma,
                                    const BatchNormBatch& batch, const Tensor& workspace, const Tensor& g, const Tensor& sum_g,
                                    const Tensor& sum_gx, const Tensor& dx) override;
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

 private:
  template <class... P, class... A>
  void start(const char* name, void (*kernel)(P...), Grid grid, const A&... arguments) {
    launch(driver_, stream_, name, kernel, grid, arguments...);
  }
  // At least `count` elements of T for partial sums, good until the next call.
  template <class T>
  T* scratch(int64_t count) {
    return static_cast<T*>(scratch_bytes(static_cast<size_t>(count) * sizeof(T)));
  }
  void* scratch_bytes(size_t bytes);
  // Rows of `channels` elements copied to rows of `wide` ones, with zeros behind, at `to`, which is returned; times
  // scale[row/rows_of_scale] where there is a scale.
  void* padded(const Tensor& x, const Tensor& scale, int64_t rows_of_scale, int64_t channels, int64_t wide, void* to);
  // Writes or adds the first `channels` of such rows.
  void take_result(const void* x, int64_t channels, int64_t wide, const GradTarget& y);

  Driver& driver_;
  Stream stream_;
  std::shared_ptr<MemorySource> memory_;
  BlockWatcher* watcher_;
  Staging staging_;
  std::unique_ptr<Buffer> scratch_;
};

// Calls f with a value of the storage type.
template <class F>
void dispatch(const char* kernel, DType dtype, F&& f) {
  switch (dtype) {
    case DType::f32:
      return f(float{});
    case DType::f16:
      return f(f16{});
    case DType::bf16:
      return f(bf16{});
    case DType::f64:
    case DType::i32:
    case DType::u8:
      break;
  }
  fail(kernel, ": the CUDA backend computes in f32, f16 and bf16, not in ", dtype_name(dtype), ". Use --device cpu for f64.");
}

// Calls f with a constant: how many elements a thread takes at once. A whole pack where packs divide `extent` and every address begins one,
// else 1.
template <class T, class F>
void dispatch_pack(int64_t extent, std::initializer_list<const void*> addresses, F&& f) {
  constexpr int widest = widest_pack<T>;
  bool fits = extent % widest == 0;
  for (const void* a : addresses) fits = fits && reinterpret_cast<uintptr_t>(a) % sizeof(Pack<T, widest>) == 0;
  if (fits)
    f(std::integral_constant<int, widest>{});
  else
    f(std::integral_constant<int, 1>{});
}

// The address of a tensor's elements, null where there is no tensor.
template <class T>
T* address(const Tensor& t) {
  DURA_CHECK(!t.defined() || t.dtype() == DTypeOf<T>::value, "a CUDA kernel was given ", describe(t), ", expected ",
             dtype_name(DTypeOf<T>::value));
  return t.defined() ? static_cast<T*>(t.raw()) : nullptr;
}

}  // namespace DURA_CUDA_BUILD
}  // namespace dura::cuda
