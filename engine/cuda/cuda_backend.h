// The CUDA backend: the kernels of engine/core/kernels.inc on one stream of a Driver. Convolutions are graphs (graph.h) for cuDNN, dense
// layers are cublasLt's, everything else is ours. It computes in f32, f16 and bf16 with f32 statistics; f64 exists for the step state and
// metric sums.
//
// Partial sums of two-stage reductions lie in one scratch buffer that lives as long as the backend: the stream's order keeps its users
// apart.
#pragma once
#include <map>
#include <memory>
#include <string>

#include "engine/core/backend.h"
#include "engine/cuda/kernel.h"
#include "engine/cuda/staging.h"
#include "engine/plan/makes_ready.h"

namespace dura::cuda {
inline namespace DURA_CUDA_BUILD {

// The address of a tensor's elements, null where there is no tensor.
template <class T>
T* address(const Tensor& t) {
  DURA_CHECK(!t.defined() || t.dtype() == dtype_of(T{}), "a CUDA kernel was given ", describe(t), ", expected ", dtype_name(dtype_of(T{})));
  return t.defined() ? static_cast<T*>(t.raw()) : nullptr;
}

// What a kernel's parameter P gets: the address of a tensor's elements, or the value.
template <class P, class A>
P argument(const A& a) {
  if constexpr (std::is_same_v<A, Tensor>)
    return address<std::remove_const_t<std::remove_pointer_t<P>>>(a);
  else
    return static_cast<P>(a);
}

class CudaBackend final : public Backend, public MakesReady {
 public:
  CudaBackend(Driver& driver, Stream stream, std::shared_ptr<MemorySource> memory);

  Device device() const override { return driver_.device(); }
  std::shared_ptr<MemorySource> memory() override { return memory_; }
  size_t memory_bytes() override { return driver_.memory_bytes(); }
  BlockWatcher* watcher() override { return &driver_; }
  bool workspace_is_slow() override { return device() == Device::cuda; }
  void make_ready(const std::function<void()>& questions) override;
  bool captures() override { return true; }
  std::unique_ptr<Replay> capture(const std::function<void()>& body) override;
  void allow_tf32(bool allowed) override { driver_.allow_tf32(allowed); }
  void download(const Tensor& x, void* host) override;
  size_t conv_workspace(const ConvGeometry& g, DType dtype, const ConvKey& key) override;
  size_t folded_filter_bytes(const Shape& w, DType dtype) override;
  void fold_filter(const Tensor& w, const Tensor& scale, const Tensor& bias, const Tensor& folded) override;
  BatchNormSpace batch_norm_space(const Shape& x, DType dtype, const BatchNormOptions& options) override;
  size_t largest_batch_norm_mask(const Shape& x, const BatchNormOptions& options) override;

#define KERNEL(name, parameters, ...) void name parameters override;
#include "engine/core/kernels.inc"

 private:
  // A kernel; tensors stand for the addresses of their elements.
  template <class... P, class... A>
  void start(const char* name, void (*kernel)(P...), Grid grid, const A&... arguments) {
    launch(driver_, stream_, name, kernel, grid, argument<P>(arguments)...);
  }
  // At least `count` elements of T for partial sums, good until the next call.
  template <class T>
  T* scratch(int64_t count) {
    return static_cast<T*>(scratch_bytes(static_cast<size_t>(count) * sizeof(T)));
  }
  void* scratch_bytes(size_t bytes);
  // One i32 that a kernel sets where statistics of a batch are not finite, and check_gradients enters into the step state and clears: a
  // ReLU of cuDNN may make 0 of what is not a number, and then nothing of it is left in the gradients.
  int32_t* overflow_flag();
  void multiply(const Product& p);
  // What the driver says of a graph, or inside of make_ready anything: there the graphs are only collected.
  bool supports(const Graph& graph);
  size_t workspace_bytes(const Graph& graph) { return asked_ ? 0 : driver_.workspace_bytes(graph); }
  // Whether a convolution runs as this graph of cuDNN's: there is an engine, and what it computes is trusted. DURA_CUDA_FUSION=0: only the
  // bare convolution.
  bool takes(const Graph& graph, ConvGeometry g, DType dtype, const ConvKey& key);
  // Whether BatchNorm is one graph of cuDNN in each direction; likewise.
  bool fuses(const Shape& x, DType dtype, const BatchNormOptions& options);
  // Whether the graphs' engines compute of this pattern what its parts do. Where a driver does not know, the first question compares them,
  // with few images; a pattern that differs, or that nothing was compared of, is computed in parts from then on, and that is said once.
  bool trusts(std::string pattern, const std::vector<Graph>& graphs,
              const std::function<std::string(const std::vector<Graph>&)>& difference);
  class Comparison;
  struct ConvCall;
  // Rows of `channels` elements copied to rows of `wide` ones, with zeros behind, at `to`, which is returned; times
  // scale[row/rows_of_scale] where there is a scale.
  void* padded(const Tensor& x, const Tensor& scale, int64_t rows_of_scale, int64_t channels, int64_t wide, void* to);
  // A bias in the type of images.
  void* narrowed(const Tensor& bias, DType dtype, void* to);
  // Writes or adds the first `channels` of such rows.
  void take_result(const void* x, int64_t channels, int64_t wide, const GradTarget& y);

  Driver& driver_;
  Stream stream_;
  std::shared_ptr<MemorySource> memory_;
  Staging staging_;
  std::unique_ptr<Buffer> scratch_, overflow_;
  const bool fusion_;                    // DURA_CUDA_FUSION
  std::map<std::string, bool> trusted_;  // by pattern and engines
  std::vector<Graph>* asked_ = nullptr;  // in make_ready: what was asked about
};

// Calls f with a value of the storage type.
template <class F>
void dispatch(const char* kernel, DType dtype, F&& f) {
  with_type(dtype, [&]<class T>(T value) {
    if constexpr (is_floating_type<T> && !std::is_same_v<T, double>)
      f(value);
    else
      fail(kernel, ": the CUDA backend computes in f32, f16 and bf16, not in ", dtype_name(dtype), ". Use --device cpu for f64.");
  });
}

// Calls f with a constant: how many elements a thread takes at once. A whole pack where packs divide `count` and every address begins one,
// else 1.
template <class T, class F>
void dispatch_pack(int64_t count, std::initializer_list<const void*> addresses, F&& f) {
  constexpr int widest = widest_pack<T>;
  bool fits = count % widest == 0;
  for (const void* a : addresses) fits = fits && reinterpret_cast<uintptr_t>(a) % sizeof(Pack<T, widest>) == 0;
  if (fits)
    f(std::integral_constant<int, widest>{});
  else
    f(std::integral_constant<int, 1>{});
}

}  // namespace DURA_CUDA_BUILD
}  // namespace dura::cuda
