// What every operation means: naive loops in double, one formula each, written to be read. Backends are tested against this file, so
// nothing here is shared with them (except Philox, which has tests of its own) and nothing here is fast. Images are (N,H,W,C), filters
// (K,R,S,C), as everywhere in dura.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "engine/core/backend.h"
#include "engine/core/formula.h"
#include "engine/core/shape.h"

namespace dura::reference {

struct Array {
  Shape shape;
  std::vector<double> v;

  Array() = default;
  explicit Array(const Shape& s) : shape(s), v(static_cast<size_t>(s.numel()), 0.0) {}
  bool defined() const { return !v.empty(); }
  int64_t numel() const { return shape.numel(); }
  double& operator[](int64_t i) { return v[static_cast<size_t>(i)]; }
  double operator[](int64_t i) const { return v[static_cast<size_t>(i)]; }
  double& operator()(int64_t a, int64_t b) { return v[static_cast<size_t>(a * shape[1] + b)]; }
  double operator()(int64_t a, int64_t b) const { return v[static_cast<size_t>(a * shape[1] + b)]; }
  double& operator()(int64_t a, int64_t b, int64_t c, int64_t d) { return v[offset(a, b, c, d)]; }
  double operator()(int64_t a, int64_t b, int64_t c, int64_t d) const { return v[offset(a, b, c, d)]; }

 private:
  size_t offset(int64_t a, int64_t b, int64_t c, int64_t d) const {
    return static_cast<size_t>(((a * shape[1] + b) * shape[2] + c) * shape[3] + d);
  }
};

// ---- convolution (cross-correlation): y[n,p,q,k] = sum over r,s,c of x[n, p*stride-padding+r, q*stride-padding+s, c] * w[k,r,s,c]
// ---------------

struct Window {
  int64_t stride = 1, padding = 0;
};

// Calls f(n,p,q,k, h,w, r,s,c) for every product of the sum above whose pixel lies inside the image; the border is zero.
template <class F>
void for_each_product(const Shape& x, const Shape& w, const Shape& y, Window o, F&& f) {
  for (int64_t n = 0; n < y[0]; ++n)
    for (int64_t p = 0; p < y[1]; ++p)
      for (int64_t q = 0; q < y[2]; ++q)
        for (int64_t k = 0; k < y[3]; ++k)
          for (int64_t r = 0; r < w[1]; ++r)
            for (int64_t s = 0; s < w[2]; ++s) {
              const int64_t row = p * o.stride - o.padding + r, column = q * o.stride - o.padding + s;
              if (row < 0 || row >= x[1] || column < 0 || column >= x[2]) continue;
              for (int64_t c = 0; c < x[3]; ++c) f(n, p, q, k, row, column, r, s, c);
            }
}

inline Array conv2d(const Array& x, const Array& w, Window o) {
  Array y({x.shape[0], (x.shape[1] + 2 * o.padding - w.shape[1]) / o.stride + 1, (x.shape[2] + 2 * o.padding - w.shape[2]) / o.stride + 1,
           w.shape[0]});
  for_each_product(x.shape, w.shape, y.shape, o,
                   [&](int64_t n, int64_t p, int64_t q, int64_t k, int64_t row, int64_t column, int64_t r, int64_t s, int64_t c) {
                     y(n, p, q, k) += x(n, row, column, c) * w(k, r, s, c);
                   });
  return y;
}

struct ConvGradients {
  Array dx, dw;
};

// Every product x*w of the sum gives dy*w to its x and dy*x to its w.
inline ConvGradients conv2d_backward(const Array& x, const Array& w, const Array& dy, Window o) {
  ConvGradients g{Array(x.shape), Array(w.shape)};
  for_each_product(x.shape, w.shape, dy.shape, o,
                   [&](int64_t n, int64_t p, int64_t q, int64_t k, int64_t row, int64_t column, int64_t r, int64_t s, int64_t c) {
                     g.dx(n, row, column, c) += dy(n, p, q, k) * w(k, r, s, c);
                     g.dw(k, r, s, c) += dy(n, p, q, k) * x(n, row, column, c);
                   });
  return g;
}

// ---- batch normalisation over the last dimension (Ioffe and Szegedy 2015)
// ----------------------------------------------------------------------

struct Moments {
  Array mean, variance;  // (K); the variance is divided by the count, not by count-1
};

inline Moments moments(const Array& x) {
  const int64_t K = x.shape[x.shape.rank() - 1], M = x.numel() / K;
  Moments m{Array({K}), Array({K})};
  for (int64_t i = 0; i < x.numel(); ++i) m.mean[i % K] += x[i] / static_cast<double>(M);
  for (int64_t i = 0; i < x.numel(); ++i) m.variance[i % K] += (x[i] - m.mean[i % K]) * (x[i] - m.mean[i % K]) / static_cast<double>(M);
  return m;
}

// running = (1-momentum)*running + momentum*batch. PyTorch stores the unbiased variance, Keras the biased one.
inline Moments updated_running(const Moments& running, const Moments& batch, int64_t count, double momentum, bool unbiased) {
  Moments m = running;
  const double correction = unbiased && count > 1 ? static_cast<double>(count) / static_cast<double>(count - 1) : 1.0;
  for (int64_t k = 0; k < m.mean.numel(); ++k) {
    m.mean[k] = (1 - momentum) * running.mean[k] + momentum * batch.mean[k];
    m.variance[k] = (1 - momentum) * running.variance[k] + momentum * batch.variance[k] * correction;
  }
  return m;
}

inline Array batch_norm(const Array& x, const Array& gamma, const Array& beta, const Moments& m, double eps) {
  const int64_t K = gamma.numel();
  Array y(x.shape);
  for (int64_t i = 0; i < x.numel(); ++i) y[i] = gamma[i % K] * (x[i] - m.mean[i % K]) / std::sqrt(m.variance[i % K] + eps) + beta[i % K];
  return y;
}

struct NormGradients {
  Array dx, dgamma, dbeta;
};

// With statistics of the batch, mean and variance depend on x too: dx = gamma*invstd * (dy - mean(dy) - xhat*mean(dy*xhat)). With stored
// ones the means fall away.
inline NormGradients batch_norm_backward(const Array& x, const Array& gamma, const Moments& m, double eps, const Array& dy,
                                         bool batch_statistics) {
  const int64_t K = gamma.numel(), M = x.numel() / K;
  NormGradients g{Array(x.shape), Array({K}), Array({K})};
  const auto invstd = [&](int64_t k) { return 1 / std::sqrt(m.variance[k] + eps); };
  const auto xhat = [&](int64_t i) { return (x[i] - m.mean[i % K]) * invstd(i % K); };
  for (int64_t i = 0; i < x.numel(); ++i) {
    g.dbeta[i % K] += dy[i];
    g.dgamma[i % K] += dy[i] * xhat(i);
  }
  for (int64_t i = 0; i < x.numel(); ++i) {
    const int64_t k = i % K;
    const double means = batch_statistics ? (g.dbeta[k] + xhat(i) * g.dgamma[k]) / static_cast<double>(M) : 0.0;
    g.dx[i] = gamma[k] * invstd(k) * (dy[i] - means);
  }
  return g;
}

// ---- element by element
// ---------------------------------------------------------------------------------------------------------------------

inline Array add(const Array& a, const Array& b) {
  Array y(a.shape);
  for (int64_t i = 0; i < y.numel(); ++i) y[i] = a[i] + b[i];
  return y;
}

inline Array relu(const Array& x) {
  Array y(x.shape);
  for (int64_t i = 0; i < y.numel(); ++i) y[i] = x[i] > 0 ? x[i] : 0;
  return y;
}

inline Array relu_backward(const Array& x, const Array& dy) {
  Array dx(x.shape);
  for (int64_t i = 0; i < dx.numel(); ++i) dx[i] = x[i] > 0 ? dy[i] : 0;
  return dx;
}

// Inverted dropout (Srivastava et al. 2014): element j of row n survives where its uniform number, Philox(key, row_key[n], j), is at least
// p; survivors are divided by 1-p. The backward pass is the same function of dy. 24 bits make the uniform number, and p is compared as a
// float.
inline Array dropout(const Array& x, double p, uint64_t key, const std::vector<uint64_t>& row_keys) {
  Array y(x.shape);
  const int64_t width = x.numel() / x.shape[0];
  for (int64_t i = 0; i < y.numel(); ++i) {
    const auto j = static_cast<uint64_t>(i % width);
    const uint32_t bits = formula::philox(key, row_keys[static_cast<size_t>(i / width)], j / 4).v[j % 4];
    y[i] = static_cast<double>(bits >> 8) / 16777216.0 >= static_cast<double>(static_cast<float>(p)) ? x[i] / (1 - p) : 0;
  }
  return y;
}

// ---- pooling
// --------------------------------------------------------------------------------------------------------------------------------

struct Pool {
  int64_t kernel, stride, padding;
  bool ceil_mode;
};

// Number of windows along one side. In ceil mode the last may stick out, but has to begin inside the image or the padding before it.
inline int64_t pool_extent(int64_t in, Pool o) {
  const int64_t span = in + 2 * o.padding - o.kernel;
  int64_t windows = (o.ceil_mode ? (span + o.stride - 1) / o.stride : span / o.stride) + 1;
  if (o.ceil_mode && (windows - 1) * o.stride >= in + o.padding) --windows;
  return windows;
}

// Flat index in x of the maximum of each window (the first one in row order); padding takes no part.
inline std::vector<int64_t> max_pool_winners(const Array& x, Pool o) {
  const int64_t N = x.shape[0], H = x.shape[1], W = x.shape[2], C = x.shape[3], P = pool_extent(H, o), Q = pool_extent(W, o);
  std::vector<int64_t> winners;
  for (int64_t n = 0; n < N; ++n)
    for (int64_t p = 0; p < P; ++p)
      for (int64_t q = 0; q < Q; ++q)
        for (int64_t c = 0; c < C; ++c) {
          int64_t best = -1;
          for (int64_t h = std::max<int64_t>(0, p * o.stride - o.padding); h < std::min(H, p * o.stride - o.padding + o.kernel); ++h)
            for (int64_t w = std::max<int64_t>(0, q * o.stride - o.padding); w < std::min(W, q * o.stride - o.padding + o.kernel); ++w) {
              const int64_t here = ((n * H + h) * W + w) * C + c;
              if (best < 0 || x[here] > x[best]) best = here;
            }
          winners.push_back(best);
        }
  return winners;
}

inline Array max_pool2d(const Array& x, Pool o) {
  Array y({x.shape[0], pool_extent(x.shape[1], o), pool_extent(x.shape[2], o), x.shape[3]});
  const std::vector<int64_t> winners = max_pool_winners(x, o);
  for (int64_t i = 0; i < y.numel(); ++i) y[i] = x[winners[static_cast<size_t>(i)]];
  return y;
}

inline Array max_pool2d_backward(const Array& x, const Array& dy, Pool o) {
  Array dx(x.shape);
  const std::vector<int64_t> winners = max_pool_winners(x, o);
  for (int64_t i = 0; i < dy.numel(); ++i) dx[winners[static_cast<size_t>(i)]] += dy[i];
  return dx;
}

inline Array global_mean(const Array& x) {
  const int64_t N = x.shape[0], C = x.shape[3], pixels = x.shape[1] * x.shape[2];
  Array y({N, C});
  for (int64_t i = 0; i < x.numel(); ++i) y(i / (pixels * C), i % C) += x[i] / static_cast<double>(pixels);
  return y;
}

inline Array global_mean_backward(const Shape& x, const Array& dy) {
  Array dx(x);
  const int64_t C = x[3], pixels = x[1] * x[2];
  for (int64_t i = 0; i < dx.numel(); ++i) dx[i] = dy(i / (pixels * C), i % C) / static_cast<double>(pixels);
  return dx;
}

// ---- dense layer: y[n,k] = sum_c x[n,c] w[k,c] + b[k]
// -----------------------------------------------------------------------------------------

inline Array linear(const Array& x, const Array& w, const Array& b) {
  Array y({x.shape[0], w.shape[0]});
  for (int64_t n = 0; n < y.shape[0]; ++n)
    for (int64_t k = 0; k < y.shape[1]; ++k) {
      y(n, k) = b.defined() ? b[k] : 0;
      for (int64_t c = 0; c < x.shape[1]; ++c) y(n, k) += x(n, c) * w(k, c);
    }
  return y;
}

struct LinearGradients {
  Array dx, dw, db;
};

inline LinearGradients linear_backward(const Array& x, const Array& w, const Array& dy) {
  LinearGradients g{Array(x.shape), Array(w.shape), Array({w.shape[0]})};
  for (int64_t n = 0; n < dy.shape[0]; ++n)
    for (int64_t k = 0; k < dy.shape[1]; ++k) {
      g.db[k] += dy(n, k);
      for (int64_t c = 0; c < x.shape[1]; ++c) {
        g.dx(n, c) += dy(n, k) * w(k, c);
        g.dw(k, c) += dy(n, k) * x(n, c);
      }
    }
  return g;
}

// ---- loss
// -----------------------------------------------------------------------------------------------------------------------------------

inline Array softmax(const Array& logits) {
  Array p(logits.shape);
  for (int64_t n = 0; n < p.shape[0]; ++n) {
    double largest = -std::numeric_limits<double>::infinity(), sum = 0;
    for (int64_t k = 0; k < p.shape[1]; ++k) largest = std::max(largest, logits(n, k));
    for (int64_t k = 0; k < p.shape[1]; ++k) sum += std::exp(logits(n, k) - largest);
    for (int64_t k = 0; k < p.shape[1]; ++k) p(n, k) = std::exp(logits(n, k) - largest) / sum;
  }
  return p;
}

// What the sum of weighted losses is divided by: the batch size (Keras), or the sum of the weights that occur (PyTorch).
inline double loss_norm(const std::vector<int32_t>& labels, const Array& class_weights, bool by_weights) {
  double sum = 0;
  for (int32_t label : labels) sum += by_weights && class_weights.defined() ? class_weights[label] : 1.0;
  return sum;
}

// a[n,k]: the target of class k in row n, 1 - e + e/K at the label and e/K elsewhere, times a weight: of the label's class for the whole
// row (Keras, dividing by the batch size) or of class k for the smoothed part (PyTorch, dividing by the sum of weights).
inline Array loss_shares(const Array& logits, const std::vector<int32_t>& labels, const Array& class_weights, bool by_weights, double e) {
  Array a(logits.shape);
  const auto weight = [&](int64_t k) { return class_weights.defined() ? class_weights[k] : 1.0; };
  for (int64_t n = 0; n < a.shape[0]; ++n) {
    const int64_t label = labels[static_cast<size_t>(n)], K = a.shape[1];
    for (int64_t k = 0; k < K; ++k) a(n, k) = e / static_cast<double>(K) * weight(by_weights ? k : label);
    a(n, label) += (1 - e) * weight(label);
  }
  return a;
}

// sum_nk a[n,k] * -log softmax(logits_n)[k] / norm
inline double cross_entropy(const Array& logits, const std::vector<int32_t>& labels, const Array& class_weights, bool by_weights,
                            double smoothing) {
  const Array p = softmax(logits), a = loss_shares(logits, labels, class_weights, by_weights, smoothing);
  double loss = 0;
  for (int64_t i = 0; i < p.numel(); ++i) loss -= a[i] * std::log(p[i]);
  return loss / loss_norm(labels, class_weights, by_weights);
}

inline Array cross_entropy_backward(const Array& logits, const std::vector<int32_t>& labels, const Array& class_weights, bool by_weights,
                                    double smoothing, double dloss) {
  const Array p = softmax(logits), a = loss_shares(logits, labels, class_weights, by_weights, smoothing);
  const double norm = loss_norm(labels, class_weights, by_weights);
  Array d(logits.shape);
  for (int64_t n = 0; n < d.shape[0]; ++n)
    for (int64_t k = 0; k < d.shape[1]; ++k)
      for (int64_t j = 0; j < d.shape[1]; ++j)  // d(-log p_j)/dlogit_k = p_k - [j = k]
        d(n, k) += dloss / norm * a(n, j) * (p(n, k) - (j == k ? 1.0 : 0.0));
  return d;
}

// ---- the model's unit: relu(batch_norm(conv2d(x, w)) + residual)
// ----------------------------------------------------------------------------------

struct UnitArgs {
  Window window;
  Array gamma, beta;
  Moments stored;
  double eps;
  bool batch_statistics, relu;
};

struct UnitForward {
  Array convolution, before_relu, y;
  Moments used;  // the statistics that normalised
};

inline UnitForward conv_bn_act(const Array& x, const Array& w, const UnitArgs& a, const Array& residual) {
  UnitForward f;
  f.convolution = conv2d(x, w, a.window);
  f.used = a.batch_statistics ? moments(f.convolution) : a.stored;
  f.before_relu = batch_norm(f.convolution, a.gamma, a.beta, f.used, a.eps);
  if (residual.defined()) f.before_relu = add(f.before_relu, residual);
  f.y = a.relu ? relu(f.before_relu) : f.before_relu;
  return f;
}

struct UnitGradients {
  Array dx, dw, dgamma, dbeta, dresidual;
};

inline UnitGradients conv_bn_act_backward(const Array& x, const Array& w, const UnitArgs& a, const UnitForward& f, const Array& dy) {
  const Array g = a.relu ? relu_backward(f.before_relu, dy) : dy;
  const NormGradients n = batch_norm_backward(f.convolution, a.gamma, f.used, a.eps, g, a.batch_statistics);
  const ConvGradients c = conv2d_backward(x, w, n.dx, a.window);
  return {c.dx, c.dw, n.dgamma, n.dbeta, g};
}

// ---- optimizer: Adam (Kingma and Ba 2015)
// -------------------------------------------------------------------------------------------------------

// Step t (from 1) on one number. Keras puts eps beside sqrt(v), PyTorch beside sqrt(v/(1-beta2^t)).
inline double adam(double p, double g, double& m, double& v, int64_t t, double lr, double beta1, double beta2, double eps, bool keras) {
  m = beta1 * m + (1 - beta1) * g;
  v = beta2 * v + (1 - beta2) * g * g;
  const double correction1 = 1 - std::pow(beta1, static_cast<double>(t)), correction2 = 1 - std::pow(beta2, static_cast<double>(t));
  if (keras) return p - lr * std::sqrt(correction2) / correction1 * m / (std::sqrt(v) + eps);
  return p - lr * (m / correction1) / (std::sqrt(v / correction2) + eps);
}

// ---- images and explanation
// ---------------------------------------------------------------------------------------------------------------------

// y[n,h,w,c] = (x[n,h,w,order[c]] - mean[c]) / std[c]; order is 2,1,0 for BGR
inline Array normalize(const Array& x, const double mean[3], const double std[3], bool bgr) {
  Array y(x.shape);
  for (int64_t i = 0; i < y.numel(); i += 3)
    for (int64_t c = 0; c < 3; ++c) y[i + c] = (x[i + (bgr ? 2 - c : c)] - mean[c]) / std[c];
  return y;
}

// Output pixel (i,j) is x sampled bilinearly at (row, column) = M (i,j,1); beyond the border the nearest border pixel repeats. Not rounded.
// matrices: (N,6)
inline Array warp(const Array& x, const Array& matrices) {
  Array y(x.shape);
  const int64_t H = x.shape[1], W = x.shape[2];
  for (int64_t n = 0; n < x.shape[0]; ++n)
    for (int64_t i = 0; i < H; ++i)
      for (int64_t j = 0; j < W; ++j) {
        const auto along = [&](int64_t first, int64_t extent) {
          const double at =
              matrices(n, first) * static_cast<double>(i) + matrices(n, first + 1) * static_cast<double>(j) + matrices(n, first + 2);
          return std::min(std::max(at, 0.0), static_cast<double>(extent - 1));
        };
        const double row = along(0, H), column = along(3, W);
        const int64_t r = static_cast<int64_t>(row), c = static_cast<int64_t>(column), below = std::min(r + 1, H - 1),
                      right = std::min(c + 1, W - 1);
        const double fr = row - static_cast<double>(r), fc = column - static_cast<double>(c);
        for (int64_t k = 0; k < x.shape[3]; ++k)
          y(n, i, j, k) = (1 - fr) * ((1 - fc) * x(n, r, c, k) + fc * x(n, r, right, k)) +
                          fr * ((1 - fc) * x(n, below, c, k) + fc * x(n, below, right, k));
      }
  return y;
}

// Grad-CAM's map (Selvaraju et al. 2017): y[n,h,w] = relu(sum_c alpha[n,c] * a[n,h,w,c])
inline Array weighted_channel_sum(const Array& a, const Array& alpha, bool with_relu) {
  const int64_t C = a.shape[3], pixels = a.shape[1] * a.shape[2];
  Array y({a.shape[0], a.shape[1], a.shape[2]});
  for (int64_t i = 0; i < a.numel(); ++i) y[i / C] += alpha(i / (pixels * C), i % C) * a[i];
  return with_relu ? relu(y) : y;
}

}  // namespace dura::reference
