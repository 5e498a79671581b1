// Softmax, the loss, and its scaling.
#include "engine/core/ops.h"
#include "engine/core/trace.h"

namespace dura {

Tensor softmax(const Tensor& logits) {
  DURA_CHECK(logits.shape().rank() == 2, "softmax: the logits have shape ", logits.shape(), ", expected (N,K)");
  OpTrace trace("forward", "softmax");
  const Tensor p = Tensor::empty(logits.shape(), stat_dtype(logits.dtype()), logits.device(), "probabilities");
  backend(p.device()).softmax(logits, p);
  trace.done(p);
  return p;
}

CrossEntropy cross_entropy(const Var& logits, const Tensor& labels, const Tensor& class_weights, const CrossEntropyOptions& options) {
  DURA_CHECK(logits.shape().rank() == 2, "cross_entropy: the logits have shape ", logits.shape(), ", expected (N,K)");
  const int64_t N = logits.shape()[0], K = logits.shape()[1];
  DURA_CHECK(labels.defined() && labels.dtype() == DType::i32 && labels.shape() == Shape{N}, "cross_entropy: labels are ", describe(labels),
             ", expected i32 (", N, ")");
  DURA_CHECK(!class_weights.defined() || (class_weights.shape() == Shape{K} && class_weights.dtype() == stat_dtype(logits.value().dtype())),
             "cross_entropy: class weights are ", describe(class_weights), ", expected ", dtype_name(stat_dtype(logits.value().dtype())),
             " (", K, ")");
  DURA_CHECK(options.label_smoothing >= 0 && options.label_smoothing < 1, "cross_entropy: label smoothing ", options.label_smoothing,
             ", expected a share in [0,1)");
  const Tensor p = softmax(logits.value());
  OpTrace trace("forward", "cross_entropy");
  const Tensor loss = Tensor::empty({1}, p.dtype(), p.device(), "loss");
  backend(p.device()).cross_entropy_forward(logits.value(), labels, class_weights, options, loss);
  Var result = record(trace, loss, {&logits}, [&] {
    return [p, labels, class_weights, options, dlogits = logits.gradient()](const Tensor& dloss) {
      backend(p.device()).cross_entropy_backward(p, labels, class_weights, options, dloss, dlogits->target());
    };
  });
  return {std::move(result), p};
}

Var scale_loss(const Var& x, const Tensor& state) {
  DURA_CHECK(state.defined() && state.dtype() == DType::f64 && state.shape() == Shape{StepState::slots}, "scale_loss: the step state is ",
             describe(state));
  const Tensor y = Tensor::like(x.value(), "scaled loss");
  backend(y.device()).scale_by_loss_scale(x.value(), state, y);
  return record("scale_loss", y, {&x}, [&] {
    return [state, dx = x.gradient()](const Tensor& dy) {
      const Tensor g = Tensor::like(dy, "gradient of loss");
      backend(dy.device()).scale_by_loss_scale(dy, state, g);
      dx->add(g);
    };
  });
}

}  // namespace dura
