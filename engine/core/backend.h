// THE list of kernels a device must provide. One class of pure virtual functions over Tensor, so that a forgotten kernel is a
// compile error. Outputs come last and are allocated by the caller; the only memory a kernel may take besides is the workspace
// it declares. Shapes are checked by the ops (ops_*.cpp), not here. Floating tensors of one call share one dtype T (f32, f64, f16,
// bf16); what is marked [stat] is f64 where T is f64 and f32 otherwise. Sums over many elements are done in two stages cut by shape:
// the same bits on every run and for any number of threads.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "engine/core/tensor.h"

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

// All extents of one convolution: input (N,H,W,C), filter (K,R,S,C), output (N,P,Q,K).
struct ConvGeometry {
  int64_t N = 0, H = 0, W = 0, C = 0, K = 0, R = 0, S = 0, P = 0, Q = 0, stride = 1, padding = 0;
  int64_t macs() const { return N * P * Q * K * R * S * C; }
};

// What follows a convolution while its output is still in cache: y = relu(conv * scale[k] + bias[k] + residual). Undefined parts are left
// out.
struct ConvEpilogue {
  Tensor scale, bias;  // (K) [stat]
  Tensor residual;     // (N,P,Q,K)
  bool relu = false;
};

// Backend-private forms of a filter (packed, transposed, transformed), made once per version of its values.
struct PreparedForms {
  struct Slot {
    uint64_t version = 0;        // of the values it was made from; 0: never made
    uint64_t scale_version = 0;  // likewise for a folded scale
    std::shared_ptr<void> form;
  };
  uint64_t version = 1;  // raised by whoever changes the values
  std::vector<Slot> slots;
};

struct Weight {
  Tensor value;                       // (K,R,S,C)
  PreparedForms* prepared = nullptr;  // null: prepare into the workspace, for this call only
};

// A per-channel factor folded into a filter, with the version of its values.
struct FoldedScale {
  Tensor scale;  // (K) [stat]; undefined: none
  uint64_t version = 0;
};

enum class ConvPass : uint8_t { forward, backward_data, backward_filter };

// What one call of a convolution does: with the geometry and the dtype it says which kernel runs.
struct ConvForm {
  ConvPass pass = ConvPass::forward;
  bool scale = false;                                 // forward: its epilogue's; backward_data: a folded one
  bool bias = false, residual = false, relu = false;  // forward
  bool accumulate = false;                            // backward: adds into its GradTarget
  bool operator==(const ConvForm&) const = default;
};
inline ConvForm form_of(const ConvEpilogue& e) {
  return {.scale = e.scale.defined(), .bias = e.bias.defined(), .residual = e.residual.defined(), .relu = e.relu};
}

// BatchNorm with the statistics of its batch and what follows it, y = relu(batch_norm(x) + residual): with x's shape and dtype this says
// which kernel runs.
struct BatchNormForm {
  bool residual = false, relu = false;
  bool writes_g = false;  // backward also hands out the gradient behind the ReLU, which is the residual's
  double eps = 1e-5;
  bool operator==(const BatchNormForm&) const = default;
};

// What a device wants for that besides, in bytes; each is a u8 tensor of this size. The mask goes from forward to backward and tells where
// y > 0; only the device knows its layout. Where it is 0, backward makes the mask from x, or from y behind a residual.
struct BatchNormSpace {
  size_t mask = 0, forward_workspace = 0, backward_workspace = 0;
};

// Room for a mask of bits over x (N,H,W,C) in which each pixel begins a new byte: cuDNN does not say whether it does where 8 does not divide
// the channels.
inline size_t relu_mask_bytes(const Shape& x) { return static_cast<size_t>(x[0] * x[1] * x[2] * ((x[3] + 7) / 8)); }

struct BatchNormParameters {
  Tensor gamma, beta, running_mean, running_variance;  // (K) [stat]; see update_running_statistics
  double momentum = 0.1;
  bool unbiased_running = true;
};

// What forward finds out about its batch: y = relu(x*scale + shift + residual).
struct BatchNormBatch {
  Tensor mean, variance, invstd, scale, shift;  // (K) [stat]; backward needs no variance
  Tensor mask;
};

enum class ClassWeightNorm : uint8_t { sum_over_batch, sum_of_weights };  // sum(w l)/N (Keras), sum(w l)/sum(w) (PyTorch)
struct CrossEntropyOptions {
  ClassWeightNorm norm = ClassWeightNorm::sum_over_batch;
  double label_smoothing = 0;  // e in [0,1): the target is 1 - e + e/K at the label and e/K elsewhere (Szegedy et al. 2016, section 7)
};
enum class AdamEpsForm : uint8_t { keras, torch };  // SEMANTICS: eps beside sqrt(v), or beside sqrt(vhat)

struct AdamOptions {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-7;
  AdamEpsForm eps_form = AdamEpsForm::keras;
  double clip_norm = 0;     // gradients whose norm over all arrays is larger are scaled to it (Pascanu et al. 2013); 0: never
  double weight_decay = 0;  // decoupled: parameters also shrink by lr * weight_decay * themselves (Loshchilov and Hutter 2019); 0: Adam
};

struct LossScaleOptions {
  double growth = 2.0, backoff = 0.5;
  int64_t growth_interval = 2000;  // finite steps before the scale grows
};

// What changes from step to step lives in one f64 tensor on the device, so that a captured step can be replayed.
struct StepState {
  enum Slot : int { learning_rate, step_count, loss_scale, growth_tracker, skipped_steps, overflow, gradient_square_sum, slots };
};

// Where a coarse map lies in a picture: the middle of pixel (i,j) at row row_step*i + first_row of its cells, counted from the middle of
// the first, and at column column_step*j + first_column.
struct MapPlacement {
  double row_step = 1, first_row = 0, column_step = 1, first_column = 0;
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
  virtual std::shared_ptr<MemorySource> memory() = 0;   // the general pool; lives as long as the process
  virtual size_t memory_bytes() = 0;                    // that this process can have in all; 0 where nobody knows
  virtual BlockWatcher* watcher() { return nullptr; }   // who must be told which tensor lives where
  virtual bool workspace_is_slow() { return false; }    // to be asked for: conv_workspace may compile code
  virtual bool captures() { return false; }
  // Runs `body` on the host and keeps what it puts into the device's queue; nothing of that runs yet. Only where captures(). Throws what
  // body throws, and Error where body does what no capture allows; the device is as before then.
  virtual std::unique_ptr<Replay> capture(const std::function<void()>&) { return nullptr; }
  // Whether f32 convolutions and products may round their factors to TF32; not unless asked for. Nothing on the CPU.
  virtual void allow_tf32(bool) {}

  // ---- bytes ----
  virtual void fill(const Tensor& x, double value) = 0;        // every element; any dtype
  virtual void copy(const Tensor& x, const Tensor& y) = 0;     // same dtype, count and device
  virtual void upload(const void* host, const Tensor& y) = 0;  // y.bytes() bytes from host memory
  virtual void download(const Tensor& x, void* host) = 0;      // x.bytes() bytes to host memory
  virtual void cast(const Tensor& x, const Tensor& y) = 0;     // between floating dtypes, rounding to nearest even

  // ---- element by element ----
  virtual void add(const Tensor& a, const Tensor& b, const Tensor& y) = 0;  // y = a + b
  virtual void accumulate(const Tensor& x, const Tensor& y) = 0;            // y += x
  virtual void relu_forward(const Tensor& x, const Tensor& y) = 0;
  virtual void relu_backward(const Tensor& dy, const Tensor& y, GradTarget dx) = 0;  // passes dy where y > 0
  // y = x / (1-p) where the Philox draw at (key, row_keys[n], element within the row) is at least p, else 0. row_keys: i32 (N,2), low and
  // high word.
  virtual void dropout(const Tensor& x, double p, uint64_t key, const Tensor& row_keys, GradTarget y) = 0;

  // ---- convolution ----
  // Bytes; the workspace is a u8 tensor of this size.
  virtual size_t conv_workspace(const ConvGeometry& g, DType dtype, const ConvForm& form) = 0;
  virtual void conv_forward(const ConvGeometry& g, const Tensor& x, const Weight& w, const ConvEpilogue& e, const Tensor& workspace,
                            const Tensor& y) = 0;
  // dx = conv^T(dy * scale, w): with a folded scale the gradient passes a frozen BatchNorm for free.
  virtual void conv_backward_data(const ConvGeometry& g, const Tensor& dy, const Weight& w, const FoldedScale& scale,
                                  const Tensor& workspace, GradTarget dx) = 0;
  virtual void conv_backward_filter(const ConvGeometry& g, const Tensor& x, const Tensor& dy, const Tensor& workspace, GradTarget dw) = 0;

  // ---- batch normalisation over the last dimension; M = elements per channel ----
  // Biased mean and variance by tiles merged with Chan's formula (Chan, Golub, LeVeque 1979).
  virtual void channel_statistics(const Tensor& x, const Tensor& mean, const Tensor& variance) = 0;  // mean, variance: (K) [stat]
  // running = (1-momentum)*running + momentum*batch, with the unbiased variance M/(M-1) where `unbiased` (PyTorch), else the biased one
  // (Keras).
  virtual void update_running_statistics(const Tensor& mean, const Tensor& variance, int64_t count, double momentum, bool unbiased,
                                         const Tensor& running_mean, const Tensor& running_variance) = 0;
  // invstd = 1/sqrt(variance+eps), scale = gamma*invstd, shift = beta - mean*scale; all (K) [stat]
  virtual void fold_batch_norm(const Tensor& gamma, const Tensor& beta, const Tensor& mean, const Tensor& variance, double eps,
                               const Tensor& invstd, const Tensor& scale, const Tensor& shift) = 0;
  // y = relu(x*scale + shift + residual); the last two as in ConvEpilogue
  virtual void scale_shift_act(const Tensor& x, const ConvEpilogue& e, const Tensor& y) = 0;
  // The gradient behind the activation, g = dy where active (y > 0; where y is undefined: x*scale + shift > 0; without relu: everywhere),
  // and its sums over each channel: sum_g = sum(g), sum_gx = sum(g * (x-mean)*invstd). g is written only where defined.
  virtual void batch_norm_backward_sums(const Tensor& dy, const Tensor& x, const Tensor& y, const ConvEpilogue& e, const Tensor& mean,
                                        const Tensor& invstd, const Tensor& sum_g, const Tensor& sum_gx, const Tensor& g) = 0;
  // dx = scale * (g - (sum_g + xhat*sum_gx)/M), g as above (recomputed from dy, or given in `dy` when e.relu is off)
  virtual void batch_norm_backward_data(const Tensor& dy, const Tensor& x, const Tensor& y, const ConvEpilogue& e, const Tensor& mean,
                                        const Tensor& invstd, const Tensor& sum_g, const Tensor& sum_gx, GradTarget dx) = 0;
  // BatchNorm with batch statistics behind a convolution as one step. What stands here puts it together from the kernels above; a device
  // that has one kernel for it overrides all three. x, y: (N,P,Q,K)
  virtual BatchNormSpace batch_norm_space(const Shape& x, DType dtype, const BatchNormForm& form);
  virtual void batch_norm_training_forward(const Tensor& x, const BatchNormForm& form, const BatchNormParameters& parameters,
                                           const Tensor& residual, const Tensor& workspace, const BatchNormBatch& batch, const Tensor& y);
  // sum_g and sum_gx are the gradients of beta and gamma; g is given with form.writes_g. y is needed with relu and residual where there is
  // no mask. dx may be undefined where there is no mask.
  virtual void batch_norm_training_backward(const Tensor& dy, const Tensor& x, const Tensor& y, const BatchNormForm& form,
                                            const Tensor& gamma, const BatchNormBatch& batch, const Tensor& workspace, const Tensor& g,
                                            const Tensor& sum_g, const Tensor& sum_gx, const Tensor& dx);
  // g = dy where y > 0 (everywhere without relu) and sum_g per channel; either output may be undefined. For BatchNorm with stored
  // statistics.
  virtual void mask_and_sum(const Tensor& dy, const Tensor& y, bool relu, const Tensor& g, const Tensor& sum_g) = 0;
  // From raw = conv_backward_filter(x, g): dw = scale*raw and, with stored statistics, dgamma = invstd*(<w_k, raw_k> - mean*sum_g). Any
  // target may be unwanted.
  virtual void frozen_batch_norm_grads(const Tensor& raw, const Tensor& w, const Tensor& scale, const Tensor& mean, const Tensor& invstd,
                                       const Tensor& sum_g, GradTarget dw, GradTarget dgamma) = 0;
  // y (+)= x for [stat] vectors
  virtual void write_or_add(const Tensor& x, GradTarget y) = 0;

  // ---- pooling ----
  // index: u8 (N,P,Q,C), position in the window, row by row; the first maximum wins. Padding never wins.
  virtual void max_pool_forward(const ConvGeometry& g, const Tensor& x, const Tensor& y, const Tensor& index) = 0;
  virtual void max_pool_backward(const ConvGeometry& g, const Tensor& dy, const Tensor& index, GradTarget dx) = 0;
  virtual void global_mean_forward(const Tensor& x, const Tensor& y) = 0;  // (N,H,W,C) -> (N,C)
  virtual void global_mean_backward(const Tensor& dy, GradTarget dx) = 0;

  // ---- dense layer: x (N,C), w (K,C), b (K), y (N,K) ----
  virtual void linear_forward(const Tensor& x, const Tensor& w, const Tensor& b, const Tensor& y) = 0;
  virtual void linear_backward_data(const Tensor& dy, const Tensor& w, GradTarget dx) = 0;
  virtual void linear_backward_weight(const Tensor& x, const Tensor& dy, GradTarget dw, GradTarget db) = 0;  // db may be unwanted

  // ---- loss: logits (N,K), labels i32 (N), class_weights (K) [stat], everything else [stat] ----
  virtual void softmax(const Tensor& logits, const Tensor& probabilities) = 0;
  // loss: one element, sum_i sum_k a_ik * -log p_i[k] / norm, where without smoothing a_ik is w[label_i] at the label and 0 elsewhere. With
  // it, sum_over_batch weighs the whole row by w[label_i], as Keras does, and sum_of_weights class k by w[k], as PyTorch does
  // (formula::class_share).
  virtual void cross_entropy_forward(const Tensor& logits, const Tensor& labels, const Tensor& class_weights,
                                     const CrossEntropyOptions& options, const Tensor& probabilities, const Tensor& loss) = 0;
  // dlogits[i,k] = dloss/norm * (p_i[k] * sum_j a_ij - a_ik)
  virtual void cross_entropy_backward(const Tensor& probabilities, const Tensor& labels, const Tensor& class_weights,
                                      const CrossEntropyOptions& options, const Tensor& dloss, GradTarget dlogits) = 0;
  // sums (f64, 2 + K*K): [0] += loss*N, [1] += unweighted loss summed over rows, [2 + label*K + argmax] += 1
  virtual void add_metrics(const Tensor& probabilities, const Tensor& labels, const Tensor& loss, const Tensor& sums) = 0;

  // ---- optimizer; `state` is f64 (StepState::slots) ----
  virtual void scale_by_loss_scale(const Tensor& x, const Tensor& state, const Tensor& y) = 0;  // y = x * loss_scale
  // Adds to state[gradient_square_sum] the sum of squares of grad/loss_scale, and sets state[overflow] where an element is not finite.
  virtual void check_gradients(const Tensor& grad, const Tensor& state) = 0;
  // One Adam step on flat arrays unless state[overflow]; grad is divided by loss_scale and clipped by state[gradient_square_sum] first;
  // `compute` (where defined) gets the rounded copy of master.
  virtual void adam_update(const Tensor& master, const Tensor& grad, const Tensor& m, const Tensor& v, const Tensor& compute,
                           const AdamOptions& options, const Tensor& state) = 0;
  // After all updates: counts the step or the skip, grows or backs off the scale (scaled == false leaves it), clears overflow and
  // gradient_square_sum.
  virtual void advance_state(const LossScaleOptions& options, bool scaled, const Tensor& state) = 0;

  // ---- images: u8 (N,H,W,C) ----
  // y[n,h,w,c] = (x[n,h,w,order[c]] - mean[c]) / std[c] for the 3 channels; order is reversed where bgr
  virtual void normalize(const Tensor& x, const float mean[3], const float std[3], bool bgr, const Tensor& y) = 0;
  // Output pixel (i,j) is sampled bilinearly at (row, column) = M (i,j,1); coordinates outside repeat the border. matrices: f32 (N,6)
  virtual void warp(const Tensor& x, const Tensor& matrices, const Tensor& y) = 0;
  // PIL's ImageEnhance.Sharpness, then brightness and contrast about 128: parameters f32 (N,3) = sharpness, brightness factor, contrast
  // factor; 1 leaves as is
  virtual void enhance(const Tensor& x, const Tensor& parameters, const Tensor& y) = 0;

  // ---- explanation ----
  // y[n,h,w] = relu(sum_c alpha[n,c] * a[n,h,w,c]); relu left out where off. y is [stat]
  virtual void weighted_channel_sum(const Tensor& a, const Tensor& alpha, bool relu, const Tensor& y) = 0;
  // Maps in colours over pictures: y = opacity * jet(v) + (1-opacity) * x, where v in [0,1] is the map, bilinear between its cells, edges
  // repeated. x: u8 (N,H,W,1 or 3), map: f32 (N,h,w), y: u8 (N,H,W,3), RGB
  virtual void color_map(const Tensor& x, const Tensor& map, const MapPlacement& placement, double opacity, const Tensor& y) = 0;

 protected:
  static void check_color_map(const Tensor& x, const Tensor& map, const Tensor& y);
};

// The backend of a device; throws when the device is not in this build. Inside a DryRun (engine/plan) it is the recording one.
// Both are defined in engine/devices, the one room that knows all devices.
Backend& backend(Device device);
// The one that computes, also inside a DryRun.
Backend& device_backend(Device device);

}  // namespace dura
