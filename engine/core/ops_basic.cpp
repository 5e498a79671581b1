// Element by element, pooling, normalisation alone, dense layer, dropout.
#include "engine/core/ops.h"
#include "engine/core/trace.h"

namespace dura {

Var relu(const Var& x) {
  OpTrace trace("forward", "relu");
  const Tensor y = Tensor::like(x.value(), "relu");
  backend(y.device()).relu_forward(x.value(), y);
  return record(trace, y, {&x},
                [&] { return [y, dx = x.gradient()](const Tensor& dy) { backend(dy.device()).relu_backward(dy, y, dx->target()); }; });
}

Var add(const Var& a, const Var& b) {
  DURA_CHECK(a.shape() == b.shape() && a.value().dtype() == b.value().dtype(), "add: ", describe(a.value()), " and ", describe(b.value()),
             " differ. There is no broadcasting.");
  OpTrace trace("forward", "add");
  const Tensor y = Tensor::like(a.value(), "add");
  backend(y.device()).add(a.value(), b.value(), y);
  return record(trace, y, {&a, &b}, [&] {
    return [da = a.gradient(), db = b.gradient()](const Tensor& dy) {
      if (da) da->add(dy);
      if (db) db->add(dy);
    };
  });
}

Var batch_norm(const Var& x, const BatchNormArgs& bn) {
  const Shape& s = x.shape();
  DURA_CHECK(s.rank() >= 2, "batch_norm: the input has shape ", s, ", expected (N,H,W,C) or (N,C)");
  const int64_t K = s[s.rank() - 1], M = x.value().numel() / K;
  for (const Tensor* t : {&bn.gamma.value(), &bn.beta.value(), &bn.running_mean, &bn.running_variance})
    DURA_CHECK(t->defined() && t->shape() == Shape{K} && t->dtype() == stat_dtype(x.value().dtype()),
               "batch_norm: a parameter or statistic is ", describe(*t), ", the input has ", K, " channels of ",
               dtype_name(x.value().dtype()));
  OpTrace trace("forward", "batch_norm");
  Backend& device = backend(x.value().device());
  const auto vector = [&](const char* what) { return Tensor::empty({K}, stat_dtype(x.value().dtype()), x.value().device(), what); };
  const bool batch = bn.mode == BatchNormMode::batch_statistics;
  BatchNormStatistics stats{.mean = batch ? vector("mean") : bn.running_mean,
                            .variance = batch ? vector("variance") : bn.running_variance,
                            .invstd = vector("invstd"),
                            .scale = vector("scale"),
                            .shift = vector("shift")};
  if (batch) {
    device.channel_statistics(x.value(), stats.mean, stats.variance);
    device.update_running_statistics(stats, M, bn.parameters());
  }
  device.fold_batch_norm(bn.gamma.value(), bn.beta.value(), bn.eps, stats);
  const Tensor y = Tensor::like(x.value(), "batch_norm");
  device.scale_shift_act(x.value(), {stats.scale, stats.shift, {}, false}, y);
  stats.variance = {};

  return record(trace, y, {&x, &bn.gamma, &bn.beta}, [&] {
    return
        [K, batch, stats, saved = x.save(), dx = x.gradient(), dgamma = bn.gamma.gradient(), dbeta = bn.beta.gradient()](const Tensor& dy) {
          Backend& d = backend(dy.device());
          const BatchNormBackward in{.dy = dy, .x = saved.get(), .statistics = stats};
          BatchNormGradients out{.sum_g = Tensor::empty({K}, stats.mean.dtype(), dy.device(), "sum of gradient"),
                                 .sum_gx = Tensor::empty({K}, stats.mean.dtype(), dy.device(), "sum of gradient times input")};
          d.batch_norm_backward_sums(in, out);
          if (dgamma) dgamma->add(out.sum_gx);
          if (dbeta) dbeta->add(out.sum_g);
          if (!dx) return;
          if (batch) {
            out.dx = dx->target();
            d.batch_norm_backward_data(in, out);
          } else {
            const Tensor g = Tensor::like(dy, "gradient");
            d.scale_shift_act(dy, {stats.scale, {}, {}, false}, g);
            dx->add(g);
          }
        };
  });
}

ConvGeometry pool_geometry(const Shape& x, const PoolOptions& o) {
  DURA_CHECK(x.rank() == 4, "max_pool2d: the input has shape ", x, ", expected (N,H,W,C)");
  DURA_CHECK(o.kernel >= 1 && o.kernel <= 15 && o.stride >= 1 && o.padding >= 0 && 2 * o.padding <= o.kernel, "max_pool2d: kernel ",
             o.kernel, ", stride ", o.stride, ", padding ", o.padding,
             " make no sense: the kernel is 1 to 15, the padding at most half of it");
  ConvGeometry g{
      .N = x[0], .H = x[1], .W = x[2], .C = x[3], .K = x[3], .R = o.kernel, .S = o.kernel, .stride = o.stride, .padding = o.padding};
  const auto size = [&](int64_t in) {
    int64_t out = (in + 2 * o.padding - o.kernel + (o.ceil_mode ? o.stride - 1 : 0)) / o.stride + 1;
    if (o.ceil_mode && (out - 1) * o.stride >= in + o.padding)
      --out;  // a window that begins in the padding behind the image does not count (as in PyTorch)
    return out;
  };
  DURA_CHECK(g.H + 2 * o.padding >= o.kernel && g.W + 2 * o.padding >= o.kernel, "max_pool2d: a ", o.kernel, "x", o.kernel,
             " window does not fit into ", x);
  g.P = size(g.H);
  g.Q = size(g.W);
  return g;
}

Var max_pool2d(const Var& x, const PoolOptions& options) {
  const ConvGeometry g = pool_geometry(x.shape(), options);
  OpTrace trace("forward", "max_pool2d");
  const Tensor y = Tensor::empty({g.N, g.P, g.Q, g.C}, x.value().dtype(), x.value().device(), "max_pool2d");
  const Tensor index = Tensor::empty(y.shape(), DType::u8, y.device(), "max_pool2d index");
  backend(y.device()).max_pool_forward(g, x.value(), y, index);
  return record(trace, y, {&x}, [&] {
    return [g, index, dx = x.gradient()](const Tensor& dy) { backend(dy.device()).max_pool_backward(g, dy, index, dx->target()); };
  });
}

Var global_mean(const Var& x) {
  DURA_CHECK(x.shape().rank() == 4, "global_mean: the input has shape ", x.shape(), ", expected (N,H,W,C)");
  OpTrace trace("forward", "global_mean");
  const Tensor y = Tensor::empty({x.shape()[0], x.shape()[3]}, x.value().dtype(), x.value().device(), "global_mean");
  backend(y.device()).global_mean_forward(x.value(), y);
  return record(trace, y, {&x},
                [&] { return [dx = x.gradient()](const Tensor& dy) { backend(dy.device()).global_mean_backward(dy, dx->target()); }; });
}

Var linear(const Var& x, const Var& w, const Var& b) {
  DURA_CHECK(x.shape().rank() == 2 && w.shape().rank() == 2 && x.shape()[1] == w.shape()[1], "linear: input ", x.shape(), " and weight ",
             w.shape(), " do not fit: (N,C) and (K,C) are expected");
  DURA_CHECK(!b.defined() || b.shape() == Shape{w.shape()[0]}, "linear: the bias has shape ", b.shape(), ", the weight ", w.shape());
  DURA_CHECK(x.value().dtype() == w.value().dtype() && (!b.defined() || b.value().dtype() == w.value().dtype()), "linear: input ",
             describe(x.value()), ", weight ", describe(w.value()), " and bias ", describe(b.value()), " differ in type");
  OpTrace trace("forward", "linear");
  const Tensor y = Tensor::empty({x.shape()[0], w.shape()[0]}, x.value().dtype(), x.value().device(), "linear");
  backend(y.device()).linear_forward(x.value(), w.value(), b.value(), y);
  return record(trace, y, {&x, &w, &b}, [&] {
    return [saved = w.needs_grad() ? x.save() : Saved(), weight = w.value(), dx = x.gradient(), dw = w.gradient(),
            db = b.gradient()](const Tensor& dy) {
      Backend& d = backend(dy.device());
      if (dw || db) d.linear_backward_weight(dw ? saved.get() : Tensor(), dy, target_of(dw), target_of(db));
      if (dx) d.linear_backward_data(dy, weight, dx->target());
    };
  });
}

Var dropout(const Var& x, double p, uint64_t key, const Tensor& row_keys) {
  DURA_CHECK(p >= 0 && p < 1, "dropout: the share must be in [0, 1), got ", p);
  DURA_CHECK(row_keys.defined() && row_keys.dtype() == DType::i32 && row_keys.shape() == (Shape{x.shape()[0], 2}), "dropout: row keys are ",
             describe(row_keys), ", expected i32 (", x.shape()[0], ",2): one key for each row of the batch");
  OpTrace trace("forward", "dropout");
  const Tensor y = Tensor::like(x.value(), "dropout");
  backend(y.device()).dropout(x.value(), p, key, row_keys, {y, false});
  return record(trace, y, {&x}, [&] {
    return [p, key, row_keys, dx = x.gradient()](const Tensor& dy) { backend(dy.device()).dropout(dy, p, key, row_keys, dx->target()); };
  });
}

Var cast(const Var& x, DType dtype) {
  DURA_CHECK(is_floating(dtype) && is_floating(x.value().dtype()), "cast: from ", dtype_name(x.value().dtype()), " to ", dtype_name(dtype),
             " is not a conversion of real numbers");
  if (dtype == x.value().dtype()) return x;
  OpTrace trace("forward", "cast");
  const Tensor y = Tensor::empty(x.shape(), dtype, x.value().device(), "cast");
  backend(y.device()).cast(x.value(), y);
  return record(trace, y, {&x}, [&] {
    return [from = x.value().dtype(), dx = x.gradient()](const Tensor& dy) {
      const Tensor g = Tensor::empty(dy.shape(), from, dy.device(), "cast gradient");
      backend(dy.device()).cast(dy, g);
      dx->add(g);
    };
  });
}

}  // namespace dura
