// Convolution and the unit of the model, conv_bn_act.
#include <optional>

#include "engine/core/ops.h"
#include "engine/core/trace.h"

namespace dura {
namespace {

// What a kernel asks for in bytes; undefined for none.
Tensor bytes(size_t count, const char* what, Device device) {
  return count ? Tensor::empty({static_cast<int64_t>(count)}, DType::u8, device, what) : Tensor{};
}

Tensor workspace(const ConvGeometry& g, const Tensor& x, const ConvKey& key) {
  return bytes(backend(x.device()).conv_workspace(g, x.dtype(), key), "convolution workspace", x.device());
}

void forward(const ConvGeometry& g, const Var& x, const Weight& w, const Epilogue& e, const Tensor& y) {
  backend(y.device()).conv_forward(g, x.value(), w, e, workspace(g, x.value(), key_of(e)), y);
}

void backward_data(const ConvGeometry& g, const Tensor& dy, const Weight& w, const FoldedScale& scale, GradTarget dx) {
  if (!dx.wanted()) return;
  const ConvKey key{.pass = ConvPass::backward_data, .scale = scale.scale.defined(), .accumulate = dx.accumulate};
  backend(dy.device()).conv_backward_data(g, dy, w, scale, workspace(g, dy, key), dx);
}

void backward_filter(const ConvGeometry& g, const Saved& x, const Tensor& dy, GradTarget dw) {
  if (!dw.wanted()) return;
  const ConvKey key{.pass = ConvPass::backward_filter, .accumulate = dw.accumulate};
  backend(dy.device()).conv_backward_filter(g, x.get(), dy, workspace(g, dy, key), dw);
}

Tensor channels(const char* what, const ConvGeometry& g, const Tensor& like) {
  return Tensor::empty({g.K}, stat_dtype(like.dtype()), like.device(), what);
}

// A sum over each channel that is a parameter's gradient, too (null: it is not): kernels write it where that gradient lies, unless
// something is there already.
class ChannelSum {
 public:
  ChannelSum(const char* what, const ConvGeometry& g, const Tensor& like, std::shared_ptr<Gradient> gradient)
      : gradient_(std::move(gradient)),
        beside_(!gradient_ || gradient_->written()),
        tensor_(beside_ ? channels(what, g, like) : gradient_->target().tensor) {}
  const Tensor& tensor() const { return tensor_; }
  // Once it is computed.
  void pass_on() const {
    if (gradient_ && beside_) gradient_->add(tensor_);
  }

 private:
  std::shared_ptr<Gradient> gradient_;
  bool beside_;
  Tensor tensor_;
};

void check_channels(const char* what, const Tensor& t, int64_t K, const Tensor& x) {
  DURA_CHECK(t.defined() && t.shape() == Shape{K}, "conv_bn_act: ", what, " is ", describe(t), ", expected ", K, " channels");
  DURA_CHECK(t.dtype() == stat_dtype(x.dtype()), "conv_bn_act: ", what, " is ", dtype_name(t.dtype()), ", expected ",
             dtype_name(stat_dtype(x.dtype())), " beside ", dtype_name(x.dtype()), " images");
}

}  // namespace

ConvGeometry conv_geometry(const char* op, const Shape& x, const Shape& w, const ConvOptions& o) {
  DURA_CHECK(x.rank() == 4, op, ": the input has shape ", x, ", expected (N,H,W,C)");
  DURA_CHECK(w.rank() == 4, op, ": the filter has shape ", w, ", expected (K,R,S,C)");
  DURA_CHECK(x[3] == w[3], op, ": the input has ", x[3], " channels, the filter expects ", w[3],
             ". Images are (N,H,W,C); a (N,C,H,W) batch looks like this.");
  DURA_CHECK(o.stride >= 1 && o.padding >= 0, op, ": stride ", o.stride, " and padding ", o.padding, " make no sense");
  ConvGeometry g{.N = x[0], .H = x[1], .W = x[2], .C = x[3], .K = w[0], .R = w[1], .S = w[2], .stride = o.stride, .padding = o.padding};
  DURA_CHECK(g.N > 0 && g.C > 0 && g.K > 0 && g.R > 0 && g.S > 0 && g.H + 2 * g.padding >= g.R && g.W + 2 * g.padding >= g.S, op,
             ": a filter of shape ", w, " does not fit into an input of shape ", x, " with padding ", o.padding, ". Use larger images.");
  g.P = (g.H + 2 * g.padding - g.R) / g.stride + 1;
  g.Q = (g.W + 2 * g.padding - g.S) / g.stride + 1;
  return g;
}

Var conv2d(const Var& x, const Var& w, const ConvOptions& options) {
  const ConvGeometry g = conv_geometry("conv2d", x.shape(), w.shape(), options);
  DURA_CHECK(x.value().dtype() == w.value().dtype(), "conv2d: input ", describe(x.value()), " and filter ", describe(w.value()),
             " differ in type");
  OpTrace trace("forward", "conv2d");
  const Tensor y = Tensor::empty({g.N, g.P, g.Q, g.K}, x.value().dtype(), x.value().device(), "conv2d");
  forward(g, x, {w.value(), w.prepared}, {}, y);
  return record(trace, y, {&x, &w}, [&] {
    return [g, dx = x.gradient(), dw = w.gradient(), saved_x = w.needs_grad() ? x.save() : Saved(),
            weight = Weight{w.value(), w.prepared}](const Tensor& dy) {
      backward_filter(g, saved_x, dy, target_of(dw));
      backward_data(g, dy, weight, {}, target_of(dx));
    };
  });
}

namespace {

// With stored statistics BatchNorm is a fixed scale and shift, so nothing but x and y is kept: with g the gradient behind the ReLU,
// dx = conv^T(scale*g), and for raw = filter gradient of g: dw = scale*raw, dgamma = invstd*(<w,raw> - mean*sum(g)), dbeta = sum(g).
Var with_stored_statistics(OpTrace& trace, const ConvGeometry& g, const Var& x, const Var& w, const BatchNormArgs& bn, const Var& residual,
                           bool relu) {
  if (bn.folded.filter.defined() && !recording({&x, &w, &bn.gamma, &bn.beta, &residual})) {
    const Tensor y = Tensor::empty({g.N, g.P, g.Q, g.K}, x.value().dtype(), x.value().device(), "conv_bn_act");
    forward(g, x, {w.value(), w.prepared, bn.folded.filter}, {{}, bn.folded.shift, residual.value(), relu}, y);
    return record(trace, y, {}, {});
  }
  Backend& device = backend(x.value().device());
  BatchNormStatistics stored{.mean = bn.running_mean,
                             .variance = bn.running_variance,
                             .invstd = channels("invstd", g, x.value()),
                             .scale = channels("scale", g, x.value()),
                             .shift = channels("shift", g, x.value())};
  device.fold_batch_norm(bn.gamma.value(), bn.beta.value(), bn.eps, stored);
  const Tensor y = Tensor::empty({g.N, g.P, g.Q, g.K}, x.value().dtype(), x.value().device(), "conv_bn_act");
  forward(g, x, {w.value(), w.prepared}, {stored.scale, stored.shift, residual.value(), relu}, y);
  stored.shift = {};

  return record(trace, y, {&x, &w, &bn.gamma, &bn.beta, &residual}, [&] {
    const bool filter_gradient = w.needs_grad() || bn.gamma.needs_grad();
    return [=, dx = x.gradient(), dw = w.gradient(), dgamma = bn.gamma.gradient(), dbeta = bn.beta.gradient(),
            dresidual = residual.gradient(), saved_x = filter_gradient ? x.save() : Saved(), mask = relu ? y : Tensor(),
            weight = Weight{w.value(), w.prepared}, revision = bn.revision](const Tensor& dy) {
      Backend& d = backend(dy.device());
      const Tensor dz = relu ? Tensor::like(dy, "gradient behind relu") : dy;
      std::optional<ChannelSum> sum;
      if (dbeta || dgamma) sum.emplace("sum of gradient", g, dy, dbeta);
      if (relu || sum) d.mask_and_sum(dy, mask, relu, relu ? dz : Tensor(), sum ? sum->tensor() : Tensor());
      if (sum) sum->pass_on();
      if (dresidual) dresidual->add(dz);
      if (filter_gradient) {
        const Tensor raw = Tensor::empty(weight.value.shape(), dy.dtype(), dy.device(), "filter gradient");
        backward_filter(g, saved_x, dz, {raw, false});
        d.frozen_batch_norm_grads(raw, weight.value, stored, sum ? sum->tensor() : Tensor(), target_of(dw), target_of(dgamma));
      }
      backward_data(g, dz, weight, {stored.scale, revision}, target_of(dx));
    };
  });
}

// With batch statistics the convolution's output is kept, and behind a residual what tells where y > 0: the device's mask of bits, or y.
// Without a residual y is a cheap function of what is kept, so a later op keeps the recipe instead of y.
Var with_batch_statistics(OpTrace& trace, const ConvGeometry& g, const Var& x, const Var& w, const BatchNormArgs& bn, const Var& residual,
                          bool relu) {
  Backend& device = backend(x.value().device());
  const DType dtype = x.value().dtype();
  const Tensor c = Tensor::empty({g.N, g.P, g.Q, g.K}, dtype, x.value().device(), "convolution output");
  forward(g, x, {w.value(), w.prepared}, {}, c);
  const BatchNormOptions follows{.residual = residual.defined(), .relu = relu, .writes_g = relu && residual.needs_grad(), .eps = bn.eps};
  const BatchNormSpace space = device.batch_norm_space(c.shape(), dtype, follows);
  BatchNormStatistics batch{.mean = channels("mean", g, c),
                            .variance = channels("variance", g, c),
                            .invstd = channels("invstd", g, c),
                            .scale = channels("scale", g, c),
                            .shift = channels("shift", g, c),
                            .mask = bytes(space.mask, "mask of relu", c.device())};
  const Tensor y = Tensor::like(c, "conv_bn_act");
  device.batch_norm_training_forward(c, follows, bn.parameters(), residual.value(),
                                     bytes(space.forward_workspace, "BatchNorm workspace", c.device()), batch, y);
  batch.variance = {};

  Var result = record(trace, y, {&x, &w, &bn.gamma, &bn.beta, &residual}, [&] {
    return [=, dx = x.gradient(), dw = w.gradient(), gamma = bn.gamma.value(), dgamma = bn.gamma.gradient(), dbeta = bn.beta.gradient(),
            dresidual = residual.gradient(), saved_x = w.needs_grad() ? x.save() : Saved(),
            activated = relu && residual.defined() && !batch.mask.defined() ? y : Tensor(),
            weight = Weight{w.value(), w.prepared}](const Tensor& dy) {
      Backend& d = backend(dy.device());
      const ChannelSum sum_g("sum of gradient", g, dy, dbeta), sum_gx("sum of gradient times input", g, dy, dgamma);
      BatchNormGradients out{.sum_g = sum_g.tensor(), .sum_gx = sum_gx.tensor()};
      if (follows.writes_g) out.g = Tensor::like(dy, "gradient behind relu");
      const bool wants_dc = dw || dx || batch.mask.defined();
      const Tensor dc = wants_dc ? Tensor::like(dy, "gradient of convolution output") : Tensor();
      out.dx = {dc, false};
      d.batch_norm_training_backward({.dy = dy, .x = c, .y = activated, .relu = relu, .statistics = batch}, follows, gamma,
                                     bytes(space.backward_workspace, "BatchNorm workspace", dy.device()), out);
      sum_gx.pass_on();
      sum_g.pass_on();
      if (dresidual) dresidual->add(out.g.defined() ? out.g : dy);
      backward_filter(g, saved_x, dc, target_of(dw));
      backward_data(g, dc, weight, {}, target_of(dx));
    };
  });
  if (result.needs_grad() && !residual.defined()) {
    result.offer_recipe([c, scale = batch.scale, shift = batch.shift, relu] {
      const Tensor again = Tensor::like(c, "conv_bn_act made again");
      backend(c.device()).scale_shift_act(c, {scale, shift, {}, relu}, again);
      return again;
    });
  }
  return result;
}

}  // namespace

void fold_conv_bn(const Tensor& w, const BatchNormArgs& bn, FoldedUnit& folded) {
  Backend& device = backend(w.device());
  const size_t bytes_of_filter = device.folded_filter_bytes(w.shape(), w.dtype());
  if (bytes_of_filter == 0) return;
  const auto of_channels = [&](const char* what) { return Tensor::empty({w.shape()[0]}, stat_dtype(w.dtype()), w.device(), what); };
  if (!folded.filter.defined()) folded = {bytes(bytes_of_filter, "folded filter", w.device()), of_channels("folded shift")};
  const BatchNormStatistics stored{.mean = bn.running_mean,
                                   .variance = bn.running_variance,
                                   .invstd = of_channels("invstd"),
                                   .scale = of_channels("scale"),
                                   .shift = folded.shift};
  device.fold_batch_norm(bn.gamma.value(), bn.beta.value(), bn.eps, stored);
  device.fold_filter(w, stored.scale, stored.shift, folded.filter);
}

Var conv_bn_act(const Var& x, const Var& w, const ConvOptions& options, const BatchNormArgs& bn, const Var& residual, bool relu) {
  const ConvGeometry g = conv_geometry("conv_bn_act", x.shape(), w.shape(), options);
  DURA_CHECK(x.value().dtype() == w.value().dtype(), "conv_bn_act: input ", describe(x.value()), " and filter ", describe(w.value()),
             " differ in type");
  check_channels("gamma", bn.gamma.value(), g.K, x.value());
  check_channels("beta", bn.beta.value(), g.K, x.value());
  check_channels("running_mean", bn.running_mean, g.K, x.value());
  check_channels("running_variance", bn.running_variance, g.K, x.value());
  DURA_CHECK(!residual.defined() || (residual.shape() == Shape{g.N, g.P, g.Q, g.K} && residual.value().dtype() == x.value().dtype()),
             "conv_bn_act: the residual is ", describe(residual.value()), ", the convolution gives ", Shape{g.N, g.P, g.Q, g.K});
  OpTrace trace("forward", "conv_bn_act");
  const auto unit = bn.mode == BatchNormMode::stored_statistics ? with_stored_statistics : with_batch_statistics;
  return unit(trace, g, x, w, bn, residual, relu);
}

}  // namespace dura
