// The layers of a convolutional classifier.
#pragma once
#include "engine/core/ops.h"
#include "layers/module.h"

namespace dura {

class Conv2d : public Module {
 public:
  // weight (K,kernel,kernel,C), no bias: a BatchNorm follows.
  Conv2d(const std::string& name, int64_t C, int64_t K, int64_t kernel, const ConvOptions& options, const TensorOptions& t);
  Parameter weight;
  const ConvOptions options;
};

class BatchNorm2d : public Module {
 public:
  BatchNorm2d(const std::string& name, int64_t channels, const TensorOptions& t);
  Parameter gamma, beta;  // "weight", "bias" [stat]
  Tensor running_mean, running_variance;
  double eps = 1e-5, momentum = 0.1;

  // Off (a frozen BatchNorm): stored statistics whatever training() says, and no update of them.
  void set_batch_statistics(bool on) { batch_statistics_ = on; }
  bool keeps_batch_statistics() const { return batch_statistics_; }  // in training mode
  bool uses_batch_statistics() const { return training() && batch_statistics_; }
  // gamma 1, beta 0, mean 0, variance 1
  void reset();
  // What the ops take now.
  BatchNormArgs args();
  // With stored statistics, whatever training() says.
  BatchNormArgs stored_args();
  // Of gamma and the statistics.
  Revision revision() const { return gamma.revision().with(statistics_); }

 protected:
  void on_buffers_changed() override { statistics_.values_changed(); }

 private:
  bool batch_statistics_ = true;
  Revision statistics_ = Revision::first();
};

// A convolution and the BatchNorm behind it, run as one node. The two keep the names that torchvision gives them in their parent.
class ConvBn {
 public:
  ConvBn(const std::string& conv_name, const std::string& bn_name, int64_t C, int64_t K, int64_t kernel, const ConvOptions& options,
         const TensorOptions& t)
      : conv(conv_name, C, K, kernel, options, t), bn(bn_name, K, t) {}
  Var operator()(const Var& x, const Var& residual = {}, bool relu = true);
  void set_trainable(bool on);  // the filter, gamma and beta; statistics stay as they are set
  // Of everything that fold() takes.
  Revision revision() const { return conv.weight.revision().with(bn.beta.revision()).with(bn.revision()); }
  // With stored statistics; nothing on a device that does not fold.
  void fold(FoldedUnit& to) { fold_conv_bn(conv.weight.compute(), bn.stored_args(), to); }
  bool trainable() const { return conv.weight.trainable() || bn.gamma.trainable() || bn.beta.trainable(); }
  Conv2d conv;
  BatchNorm2d bn;
  FoldedUnit folded;  // FoldedUnits sets it
};

class Linear : public Module {
 public:
  Linear(const std::string& name, int64_t C, int64_t K, const TensorOptions& t);
  Var operator()(const Var& x);
  Parameter weight, bias;  // (K,C), (K)
};

class Dropout : public Module {
 public:
  // `seed` and the module's name make the key of its random numbers.
  Dropout(const std::string& name, double p, uint64_t seed);
  // row_keys: i32 (N,2), one key for each row of the batch; may be undefined while not training.
  Var operator()(const Var& x, const Tensor& row_keys);
  double p;

 private:
  uint64_t key_;
};

// ---- initialisers: values depend on (seed, parameter's name) alone ----

// Normal with variance 2/(K*R*S) (He et al. 2015, fan out), as torchvision initialises ResNets.
void initialise_kaiming(Parameter& filter, uint64_t seed);
// Uniform in ±1/sqrt(C), as PyTorch initialises dense layers; a bias of zeros. Keras' rule, ±sqrt(6/(C+K)), is 2.4 times as wide for few
// classes: above freshly initialised convolutions the first losses are then several times ln K, and an epoch is spent on unlearning them.
void initialise_dense(Linear& layer, uint64_t seed);

}  // namespace dura
