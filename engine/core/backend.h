// What a device must be able to do. The kernels stand in kernels.inc, one entry each, from which this class gets a pure virtual function
// for each: a forgotten kernel is a compile error. What stands here besides is what kernels are told with, and what the host asks a device.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "engine/core/adam_step.h"
#include "engine/core/tensor.h"
#include "engine/core/weight.h"

namespace dura {

// Where a backward kernel puts a gradient: overwrites, or adds when `accumulate` is set.
struct GradTarget {
  Tensor tensor;
  bool accumulate = false;
  bool wanted() const { return tensor.defined(); }
};

struct ConvOptions {
  int64_t stride = 1;   // both directions
  int64_t padding = 0;  // zeros on every side
};

// All sizes of one convolution: input (N,H,W,C), filter (K,R,S,C), output (N,P,Q,K).
struct ConvGeometry {
  int64_t N = 0, H = 0, W = 0, C = 0, K = 0, R = 0, S = 0, P = 0, Q = 0, stride = 1, padding = 0;
  int64_t macs() const { return N * P * Q * K * R * S * C; }
};

// What follows a convolution while its output is still in cache: y = relu(conv * scale[k] + bias[k] + residual). Undefined parts are left
// out.
struct Epilogue {
  Tensor scale, bias;  // (K) [stat]
  Tensor residual;     // (N,P,Q,K)
  bool relu = false;
};

enum class ConvPass : uint8_t { forward, backward_data, backward_filter };

// Which pass, with which parts of an epilogue: with geometry and dtype it says which kernel runs, so plans and graphs are kept by it.
struct ConvKey {
  ConvPass pass = ConvPass::forward;
  bool scale = false;                                 // forward: its epilogue's; backward_data: a folded one
  bool bias = false, residual = false, relu = false;  // forward
  bool accumulate = false;                            // backward: adds into its GradTarget
  bool operator==(const ConvKey&) const = default;
};
inline ConvKey key_of(const Epilogue& e) {
  return {.scale = e.scale.defined(), .bias = e.bias.defined(), .residual = e.residual.defined(), .relu = e.relu};
}

// BatchNorm with the statistics of its batch and what follows it, y = relu(batch_norm(x) + residual): with x's shape and dtype this says
// which kernel runs.
struct BatchNormOptions {
  bool residual = false, relu = false;
  bool writes_g = false;  // backward also hands out the gradient behind the ReLU, which is the residual's
  double eps = 1e-5;
  bool operator==(const BatchNormOptions&) const = default;
};

// What a device wants for that besides, in bytes; each is a u8 tensor of this size. The mask goes from forward to backward and tells where
// y > 0; only the device knows its layout. Where it is 0, backward makes the mask from x, or from y behind a residual.
struct BatchNormSpace {
  size_t mask = 0, forward_workspace = 0, backward_workspace = 0;
};

struct BatchNormParameters {
  Tensor gamma, beta, running_mean, running_variance;  // (K) [stat]; see update_running_statistics
  double momentum = 0.1;
  bool unbiased_running = true;
};

// Statistics and the scale and shift that they make: y = relu(x*scale + shift + residual). All (K) [stat].
struct BatchNormStatistics {
  Tensor mean, variance = {}, invstd, scale, shift = {};  // backward needs no variance
  Tensor mask = {};                                       // of the batch; see BatchNormSpace
};

// What the backward kernels of BatchNorm read. The gradient passes where the output was active: y > 0, or where y is undefined
// x*scale + shift > 0; without relu everywhere.
struct BatchNormBackward {
  Tensor dy, x, y = {};
  bool relu = false;
  BatchNormStatistics statistics;
};

// What they leave; sum_g and sum_gx are the gradients of beta and gamma.
struct BatchNormGradients {
  Tensor sum_g, sum_gx;  // (K) [stat]
  Tensor g = {};         // behind the activation: the residual's; undefined: not wanted
  GradTarget dx = {};
};

enum class ClassWeightNorm : uint8_t { sum_over_batch, sum_of_weights };  // sum(w l)/N (Keras), sum(w l)/sum(w) (PyTorch)
struct CrossEntropyOptions {
  ClassWeightNorm norm = ClassWeightNorm::sum_over_batch;
  double label_smoothing = 0;  // e in [0,1): the target is 1 - e + e/K at the label and e/K elsewhere (Szegedy et al. 2016, section 7)
};

// What a guided map is made of; see cam_energy in ops.h.
struct CamEnergyInputs {
  Tensor features, weight;  // (N,H,W,C), (K,C)
  Tensor labels, lesion;    // i32 (N); u8 (N,H,W), not 0 where the cell counts as lesion
};
// What its forward pass leaves for the backward pass.
struct CamEnergyRows {
  Tensor other;  // i32 (N): the class with the largest logit but the label's
  Tensor maps;   // (N,H,W) [stat]
  Tensor sums;   // f64 (N,2): of the map, and of the map inside of the lesion; 0 in rows that are left out
};

// Work of a device that was put together once and runs again as a whole (a CUDA graph): the host's share of a step becomes one call.
class Replay {
 public:
  virtual ~Replay() = default;
  virtual void run() = 0;  // memory that the work uses must still be where it was
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual Device device() const = 0;

  // ---- the device itself ----
  virtual std::shared_ptr<MemorySource> memory() = 0;  // the general pool; lives as long as the process
  virtual size_t memory_bytes() = 0;                   // that this process can have in all; 0 where nobody knows
  virtual BlockWatcher* watcher() { return nullptr; }  // who must be told which tensor lives where
  virtual bool workspace_is_slow() { return false; }   // to be asked for: conv_workspace may compile code
  virtual bool captures() { return false; }
  // Runs `body` on the host and keeps what it puts into the device's queue; nothing of that runs yet. Only where captures(). Throws what
  // body throws, and Error where body does what no capture allows; the device is as before then.
  virtual std::unique_ptr<Replay> capture(const std::function<void()>&) { return nullptr; }
  // Whether f32 convolutions and products may round their factors to TF32; not unless asked for. Nothing on the CPU.
  virtual void allow_tf32(bool) {}

  // x.bytes() bytes to host memory; waits for the work that makes them.
  virtual void download(const Tensor& x, void* host) = 0;
  // What the kernels of convolutions and of batch_norm_training_* need besides, in bytes.
  virtual size_t conv_workspace(const ConvGeometry& g, DType dtype, const ConvKey& key) = 0;
  // Where a device folds an epilogue's scale into the filter in every call, it can be given what was folded once (Weight::folded): a u8
  // tensor of so many bytes, for a filter of shape `w`. 0: it does not fold.
  virtual size_t folded_filter_bytes(const Shape& /*w*/, DType) { return 0; }
  // `scale`, `bias`: (K) [stat]. conv_forward then takes an epilogue without a scale, and with this bias.
  virtual void fold_filter(const Tensor& w, const Tensor& scale, const Tensor& bias, const Tensor& folded);
  virtual BatchNormSpace batch_norm_space(const Shape&, DType, const BatchNormOptions&) { return {}; }
  // The most that BatchNormSpace::mask can be; never slow.
  virtual size_t largest_batch_norm_mask(const Shape&, const BatchNormOptions&) { return 0; }

#define KERNEL(name, parameters, ...) virtual void name parameters = 0;
#define KERNEL_WITH_DEFAULT(name, parameters, ...) virtual void name parameters;
#include "engine/core/kernels.inc"
};

// The backend of a device; throws when the device is not in this build. Inside a DryRun (engine/plan) it is the recording one.
// Both are defined in engine/devices, the one room that knows all devices.
Backend& backend(Device device);
// The one that computes, also inside a DryRun.
Backend& device_backend(Device device);

}  // namespace dura
