// Every differentiable operation. Each is one function in ops_*.cpp: shape check, forward, backward rule.
// An op is recorded when a Tape is there and one of its inputs needs a gradient; otherwise it runs in inference form and keeps nothing.
#pragma once
#include "engine/core/backend.h"
#include "engine/core/tape.h"

namespace dura {

// x (N,H,W,C), w (K,R,S,C) -> (N,P,Q,K) with P = (H + 2*padding - R)/stride + 1: the cross-correlation that the field calls convolution.
Var conv2d(const Var& x, const Var& w, const ConvOptions& options = {});

enum class BatchNormMode : uint8_t { batch_statistics, stored_statistics };

// A filter with the BatchNorm behind it, made by fold_conv_bn where the device folds; undefined elsewhere.
struct FoldedUnit {
  Tensor filter;  // Weight::folded
  Tensor shift;   // (K) [stat]
};

// y = gamma*(x - mean)/sqrt(var + eps) + beta per channel (Ioffe and Szegedy 2015). With batch statistics the running ones are updated:
// running = (1-momentum)*running + momentum*batch. With stored statistics they are constants: dx = dy*gamma/sqrt(var+eps).
struct BatchNormArgs {
  Var gamma, beta;                        // (K) [stat]
  Tensor running_mean, running_variance;  // (K) [stat]
  double eps = 1e-5, momentum = 0.1;
  bool unbiased_running = true;  // PyTorch stores M/(M-1) of the batch variance, Keras the biased one
  BatchNormMode mode = BatchNormMode::stored_statistics;
  Revision revision = {};  // of everything that makes the folded scale
  FoldedUnit folded = {};  // taken instead of the filter, gamma, beta and statistics where nothing is recorded

  BatchNormParameters parameters() const {
    return {gamma.value(), beta.value(), running_mean, running_variance, momentum, unbiased_running};
  }
};
Var batch_norm(const Var& x, const BatchNormArgs& bn);

// relu(batch_norm(conv2d(x, w)) + residual): the unit of the model, one node. `residual` may be undefined, relu may be off.
Var conv_bn_act(const Var& x, const Var& w, const ConvOptions& options, const BatchNormArgs& bn, const Var& residual = {},
                bool relu = true);

// What conv_bn_act with stored statistics makes of a filter w (K,R,S,C) in every call, once. The tensors of the last call with the same
// filter are written to again, so captured work that reads them goes on with the new values.
void fold_conv_bn(const Tensor& w, const BatchNormArgs& bn, FoldedUnit& folded);

Var relu(const Var& x);
Var add(const Var& a, const Var& b);  // same shape and dtype

struct PoolOptions {
  int64_t kernel = 3, stride = 2, padding = 1;
  bool ceil_mode = false;  // the last window may begin inside and end outside
};
Var max_pool2d(const Var& x, const PoolOptions& options);
Var global_mean(const Var& x);  // (N,H,W,C) -> (N,C)

// x (N,C), w (K,C), b (K) -> (N,K); b may be undefined
Var linear(const Var& x, const Var& w, const Var& b);

// Inverted dropout: kept elements are divided by 1-p (Srivastava et al. 2014). Which are kept depends on (key, row_keys[n], element within
// the row) alone: the same for any batch order, thread count and device. row_keys: i32 (N,2)
Var dropout(const Var& x, double p, uint64_t key, const Tensor& row_keys);

Tensor softmax(const Tensor& logits);  // (N,K), in [stat] precision; not recorded: the loss below has its own

struct CrossEntropy {
  Var loss;              // one element
  Tensor probabilities;  // (N,K)
};
// Softmax and weighted cross-entropy in one: logits (N,K), labels i32 (N), class_weights (K) [stat] or undefined for 1.
CrossEntropy cross_entropy(const Var& logits, const Tensor& labels, const Tensor& class_weights = {},
                           const CrossEntropyOptions& options = {});

struct CamEnergy {
  Var loss;     // one element
  Tensor sums;  // f64 (N,2), for add_cam_energy: see kernels.inc
};
// How much of the evidence for the right class lies outside of the lesion: features (N,H,W,C) go through global_mean and a dense layer of
// `weight` (K,C), whose map of class activations is sum_c weight[k,c] features[n,h,w,c] (Zhou et al. 2016, arXiv 1512.04150; Grad-CAM's at
// that place). The map here is that of the margin, the label's logit less the largest of the others, because a part that all logits share
// decides nothing: m = relu(sum_c (weight[y,c] - weight[o,c]) features[c]). The loss of a row is 1 - t/s with s = the sum of m and t = that
// over the lesion's cells (the energy of Rao et al. 2023, arXiv 2303.11932); `loss` is `strength` times the mean over the rows that count:
// those with a lesion and s >= 1e-7. First order: the choice of o is a constant, and so are the logits.
// logits: (N,K), of the same features; labels: i32 (N); lesion: u8 (N,H,W), not 0 where a cell counts as lesion.
CamEnergy cam_energy(const Var& features, const Var& weight, const Tensor& logits, const Tensor& labels, const Tensor& lesion,
                     double strength = 1);

Var cast(const Var& x, DType dtype);                // the gradient is cast back
Var scale_loss(const Var& x, const Tensor& state);  // x * state[loss_scale]

// [stat] of kernels.inc
inline DType stat_dtype(DType t) { return t == DType::f64 ? DType::f64 : DType::f32; }

// The sizes of a convolution or pooling; throws a message that names `op` when they do not fit.
ConvGeometry conv_geometry(const char* op, const Shape& x, const Shape& w, const ConvOptions& options);
ConvGeometry pool_geometry(const Shape& x, const PoolOptions& options);

}  // namespace dura
