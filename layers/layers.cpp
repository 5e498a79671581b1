#include "layers/layers.h"

#include <cmath>

#include "engine/base/parallel.h"
#include "engine/base/random.h"
#include "engine/core/trace.h"

namespace dura {

Conv2d::Conv2d(const std::string& name, int64_t C, int64_t K, int64_t kernel, const ConvOptions& o, const TensorOptions& t)
    : Module(name), weight(join("weight"), {K, kernel, kernel, C}, t.compute, t.device), options(o) {
  add(weight);
}

BatchNorm2d::BatchNorm2d(const std::string& name, int64_t channels, const TensorOptions& t)
    : Module(name),
      gamma(join("weight"), {channels}, stat_dtype(t.compute), t.device),
      beta(join("bias"), {channels}, stat_dtype(t.compute), t.device),
      running_mean(Tensor::empty({channels}, stat_dtype(t.compute), t.device, join("running_mean"))),
      running_variance(Tensor::empty({channels}, stat_dtype(t.compute), t.device, join("running_var"))) {
  add(gamma);
  add(beta);
  add(NamedBuffer{join("running_mean"), running_mean});
  add(NamedBuffer{join("running_var"), running_variance});
  reset();
}

void BatchNorm2d::reset() {
  Backend& b = backend(gamma.device());
  b.fill(gamma.master(), 1.0);
  b.fill(beta.master(), 0.0);
  b.fill(running_mean, 0.0);
  b.fill(running_variance, 1.0);
  gamma.values_changed();
  beta.values_changed();
  buffers_changed();
}

BatchNormArgs BatchNorm2d::stored_args() {
  BatchNormArgs a;
  a.gamma = gamma.var();
  a.beta = beta.var();
  a.running_mean = running_mean;
  a.running_variance = running_variance;
  a.eps = eps;
  a.momentum = momentum;
  a.revision = revision();  // the folded scale depends on gamma and the variance
  return a;
}

BatchNormArgs BatchNorm2d::args() {
  BatchNormArgs a = stored_args();
  if (uses_batch_statistics()) {
    a.mode = BatchNormMode::batch_statistics;
    statistics_.values_changed();
  }
  return a;
}

Var ConvBn::operator()(const Var& x, const Var& residual, bool relu) {
  const Label label(conv.name());
  BatchNormArgs args = bn.args();
  args.folded = folded;
  return conv_bn_act(x, conv.weight.var(), conv.options, args, residual, relu);
}

void ConvBn::set_trainable(bool on) {
  conv.weight.set_trainable(on);
  bn.gamma.set_trainable(on);
  bn.beta.set_trainable(on);
}

Linear::Linear(const std::string& name, int64_t C, int64_t K, const TensorOptions& t)
    : Module(name), weight(join("weight"), {K, C}, t.compute, t.device), bias(join("bias"), {K}, t.compute, t.device) {
  add(weight);
  add(bias);
}

Var Linear::operator()(const Var& x) {
  const Label label(name());
  return linear(x, weight.var(), bias.var());
}

Dropout::Dropout(const std::string& name, double share, uint64_t seed) : Module(name), p(share), key_(random_key(seed, name)) {
  if (!(share >= 0 && share < 1)) fail_usage(name, ": the dropout share must be in [0, 1), got ", share);
}

Var Dropout::operator()(const Var& x, const Tensor& row_keys) {
  if (!training() || p == 0) return x;
  const Label label(name());
  return dropout(x, p, key_, row_keys);
}

void initialise_kaiming(Parameter& filter, uint64_t seed) {
  const Shape& s = filter.shape();
  const int64_t width = s.numel() / s[0];
  const double deviation = std::sqrt(2.0 / static_cast<double>(s[0] * s[1] * s[2]));
  const uint64_t key = random_key(seed, filter.name());
  Tensor values = Tensor::empty(s, DType::f64, Device::cpu);
  double* p = values.data<double>();
  parallel_for(s[0], [&](int64_t k) {
    Random random(key, static_cast<uint64_t>(k));
    for (int64_t i = 0; i < width; ++i) p[k * width + i] = deviation * random.normal();
  });
  filter.assign(values);
}

void initialise_dense(Linear& layer, uint64_t seed) {
  const Shape& s = layer.weight.shape();
  const double limit = 1 / std::sqrt(static_cast<double>(s[1]));
  Random random(random_key(seed, layer.weight.name()));
  Tensor values = Tensor::empty(s, DType::f64, Device::cpu);
  for (int64_t i = 0; i < s.numel(); ++i) values.data<double>()[i] = random.uniform(-limit, limit);
  layer.weight.assign(values);
  layer.bias.assign(Tensor::zeros(layer.bias.shape(), DType::f64, Device::cpu));
}

}  // namespace dura
