// Batch normalisation over the last dimension. x is M rows of K channels; rows are cut into tiles, a tile's sums are made in one pass, and
// tiles are merged in order in double.
#include <cmath>
#include <vector>

#include "engine/cpu/cpu_backend.h"
#include "engine/cpu/element.h"
#include "engine/base/numbers.h"
#include "engine/base/parallel.h"

namespace dura {

using cpu::data_or_null;
using cpu::dispatch_floating;
using cpu::Element;

namespace {

struct Rows {
  int64_t M, K, tile, tiles;
  explicit Rows(const Tensor& x) : K(x.shape()[x.shape().rank() - 1]) {
    M = x.numel() / K;
    tile = std::max<int64_t>(1, std::min<int64_t>(512, cpu::grain / K));
    tiles = ceil_div(M, tile);
  }
  int64_t begin(int64_t t) const { return t * tile; }
  int64_t end(int64_t t) const { return std::min(M, (t + 1) * tile); }
};

template <class C>
void merge_sums(const C* partial, const Rows& r, int64_t stride, C* sum) {
  for (int64_t k = 0; k < r.K; ++k) {
    double total = 0;
    for (int64_t t = 0; t < r.tiles; ++t) total += static_cast<double>(partial[t * stride + k]);
    sum[k] = static_cast<C>(total);
  }
}

}  // namespace

void CpuBackend::channel_statistics(const Tensor& x, const Tensor& mean, const Tensor& variance) {
  const Rows r(x);
  dispatch_floating("channel_statistics", x.dtype(), [&]<class T>(T) {
    using C = typename Element<T>::Compute;
    const T* px = x.data<T>();
    std::vector<C> partial(static_cast<size_t>(2 * r.tiles * r.K), C(0));  // mean and M2 of each tile
    parallel_for(r.tiles, [&](int64_t t) {
      C* const sums = partial.data() + 2 * t * r.K;
      C* __restrict tile_mean = sums, * __restrict m2 = sums + r.K;
      for (int64_t i = r.begin(t); i < r.end(t); ++i)
        for (int64_t k = 0; k < r.K; ++k) tile_mean[k] += Element<T>::load(px[i * r.K + k]);
      for (int64_t k = 0; k < r.K; ++k) tile_mean[k] /= static_cast<C>(r.end(t) - r.begin(t));
      for (int64_t i = r.begin(t); i < r.end(t); ++i)
        for (int64_t k = 0; k < r.K; ++k) {
          const C d = Element<T>::load(px[i * r.K + k]) - tile_mean[k];
          m2[k] += d * d;
        }
    });
    C *pm = mean.data<C>(), *pv = variance.data<C>();
    for (int64_t k = 0; k < r.K; ++k) {
      formula::Moments all{0, 0, 0};
      for (int64_t t = 0; t < r.tiles; ++t)
        all.add(static_cast<double>(r.end(t) - r.begin(t)), static_cast<double>(partial[static_cast<size_t>(2 * t * r.K + k)]),
                static_cast<double>(partial[static_cast<size_t>((2 * t + 1) * r.K + k)]));
      pm[k] = static_cast<C>(all.mean);
      pv[k] = static_cast<C>(all.m2 / all.count);
    }
  });
}

void CpuBackend::update_running_statistics(const BatchNormStatistics& batch, int64_t count, const BatchNormParameters& p) {
  const double correction = p.unbiased_running ? formula::unbiased_correction(count) : 1.0;
  dispatch_floating("update_running_statistics", batch.mean.dtype(), [&]<class T>(T) {
    using C = typename Element<T>::Compute;
    const C *m = batch.mean.data<C>(), *v = batch.variance.data<C>();
    C *rm = p.running_mean.data<C>(), *rv = p.running_variance.data<C>();
    for (int64_t k = 0; k < batch.mean.numel(); ++k) {
      rm[k] = formula::moving(rm[k], static_cast<double>(m[k]), p.momentum);
      rv[k] = formula::moving(rv[k], static_cast<double>(v[k]), p.momentum, correction);
    }
  });
}

void CpuBackend::fold_batch_norm(const Tensor& gamma, const Tensor& beta, double eps, const BatchNormStatistics& s) {
  dispatch_floating("fold_batch_norm", gamma.dtype(), [&]<class T>(T) {
    using C = typename Element<T>::Compute;
    const C *g = gamma.data<C>(), *b = beta.data<C>(), *m = s.mean.data<C>(), *v = s.variance.data<C>();
    C *invstd = s.invstd.data<C>(), *scale = s.scale.data<C>(), *shift = s.shift.data<C>();
    for (int64_t k = 0; k < gamma.numel(); ++k) {
      const double inverse = 1 / std::sqrt(static_cast<double>(v[k]) + eps);
      invstd[k] = static_cast<C>(inverse);
      formula::fold(g[k], b[k], static_cast<double>(m[k]), inverse, scale + k, shift + k);
    }
  });
}

void CpuBackend::scale_shift_act(const Tensor& x, const Epilogue& e, const Tensor& y) {
  const Rows r(x);
  dispatch_floating("scale_shift_act", x.dtype(), [&]<class T>(T) {
    using C = typename Element<T>::Compute;
    const T *px = x.data<T>(), *pr = data_or_null<T>(e.residual);
    const C *scale = data_or_null<C>(e.scale), *shift = data_or_null<C>(e.bias);
    T* py = y.data<T>();
    cpu::with_flags(
        [&](auto scaled, auto shifted, auto added, auto relu) {
          parallel_for(r.tiles, [&](int64_t t) {
            for (int64_t i = r.begin(t); i < r.end(t); ++i) {
              const T* __restrict row = px + i * r.K, * __restrict residual = added ? pr + i * r.K : nullptr;
              const C* __restrict factor = scale, * __restrict offset = shift;
              T* __restrict out = py + i * r.K;
              for (int64_t k = 0; k < r.K; ++k) {
                C v = Element<T>::load(row[k]);
                if constexpr (scaled) v *= factor[k];
                if constexpr (shifted) v += offset[k];
                if constexpr (added) v += Element<T>::load(residual[k]);
                out[k] = Element<T>::store(relu ? formula::relu(v) : v);
              }
            }
          });
        },
        scale != nullptr, shift != nullptr, pr != nullptr, e.relu);
  });
}

namespace {

// Where the mask of a ReLU comes from; see BatchNormBackward.
enum class Mask { none, output, recomputed };

// Calls f with the mask as a compile-time constant.
template <class F>
void with_mask(bool relu, bool output, F&& f) {
  if (!relu) {
    f(std::integral_constant<Mask, Mask::none>{});
  } else if (output) {
    f(std::integral_constant<Mask, Mask::output>{});
  } else {
    f(std::integral_constant<Mask, Mask::recomputed>{});
  }
}

// The gradient behind the activation for one element of a row; pointers are to the row.
template <Mask mask, class T, class C>
inline C masked(const T* dy, const T* x, const T* y, const C* scale, const C* shift, int64_t k) {
  const C g = Element<T>::load(dy[k]);
  if constexpr (mask == Mask::output) return Element<T>::load(y[k]) > 0 ? g : C(0);
  if constexpr (mask == Mask::recomputed) return Element<T>::load(x[k]) * scale[k] + shift[k] > 0 ? g : C(0);
  return g;
}

// Adds one row to a tile's two sums, and keeps the masked gradient in `out` where it is not null. A function of its own: its promise that
// nothing overlaps is what lets the compiler vectorise the loop without checks at every row.
template <Mask mask, bool keep, class T, class C>
void add_row(const T* __restrict dy, const T* __restrict x, const T* __restrict y, const C* __restrict scale, const C* __restrict shift,
             const C* __restrict mean, const C* __restrict invstd, int64_t K, C* __restrict sum_g, C* __restrict sum_gx,
             T* __restrict out) {
  for (int64_t k = 0; k < K; ++k) {
    const C v = masked<mask>(dy, x, y, scale, shift, k);
    sum_g[k] += v;
    sum_gx[k] += v * ((Element<T>::load(x[k]) - mean[k]) * invstd[k]);
    if constexpr (keep) out[k] = Element<T>::store(v);
  }
}

}  // namespace

void CpuBackend::batch_norm_backward_sums(const BatchNormBackward& in, const BatchNormGradients& result) {
  const Rows r(in.x);
  dispatch_floating("batch_norm_backward_sums", in.x.dtype(), [&]<class T>(T) {
    using C = typename Element<T>::Compute;
    const BatchNormStatistics& s = in.statistics;
    const T *pd = in.dy.data<T>(), *px = in.x.data<T>(), *py = data_or_null<T>(in.y);
    const C *m = s.mean.data<C>(), *is = s.invstd.data<C>(), *scale = s.scale.data<C>(), *shift = s.shift.data<C>();
    T* pg = data_or_null<T>(result.g);
    std::vector<C> partial(static_cast<size_t>(2 * r.tiles * r.K), C(0));
    with_mask(in.relu, py != nullptr, [&](auto mask) {
      cpu::with_flags(
          [&](auto keep) {
            parallel_for(r.tiles, [&](int64_t t) {
              C* const sums = partial.data() + 2 * t * r.K;
              for (int64_t i = r.begin(t); i < r.end(t); ++i) {
                const int64_t at = i * r.K;
                add_row<mask, keep>(pd + at, px + at, mask == Mask::output ? py + at : nullptr, scale, shift, m, is, r.K, sums, sums + r.K,
                                    keep ? pg + at : nullptr);
              }
            });
          },
          pg != nullptr);
    });
    merge_sums(partial.data(), r, 2 * r.K, result.sum_g.data<C>());
    merge_sums(partial.data() + r.K, r, 2 * r.K, result.sum_gx.data<C>());
  });
}

void CpuBackend::batch_norm_backward_data(const BatchNormBackward& in, const BatchNormGradients& result) {
  const Rows r(in.x);
  dispatch_floating("batch_norm_backward_data", in.x.dtype(), [&]<class T>(T) {
    using C = typename Element<T>::Compute;
    const BatchNormStatistics& s = in.statistics;
    const T *pd = in.dy.data<T>(), *px = in.x.data<T>(), *py = data_or_null<T>(in.y);
    const C *m = s.mean.data<C>(), *is = s.invstd.data<C>(), *scale = s.scale.data<C>(), *shift = s.shift.data<C>();
    const C *sg = result.sum_g.data<C>(), *sgx = result.sum_gx.data<C>();
    T* const to = result.dx.tensor.data<T>();
    // scale*(g - sg/M - xhat*sgx/M) = scale*g - a*(x - mean) - b with per-channel constants
    std::vector<C> a(static_cast<size_t>(r.K)), b(static_cast<size_t>(r.K));
    for (int64_t k = 0; k < r.K; ++k) {
      const double per_x =
          static_cast<double>(scale[k]) * static_cast<double>(is[k]) * static_cast<double>(sgx[k]) / static_cast<double>(r.M);
      a[static_cast<size_t>(k)] = static_cast<C>(per_x);
      b[static_cast<size_t>(k)] = static_cast<C>(static_cast<double>(scale[k]) * static_cast<double>(sg[k]) / static_cast<double>(r.M));
    }
    with_mask(in.relu, py != nullptr, [&](auto mask) {
      cpu::with_flags(
          [&](auto accumulate) {
            parallel_for(r.tiles, [&](int64_t t) {
              const C* __restrict centre = m, * __restrict slope = a.data(), * __restrict offset = b.data(), * __restrict factor = scale;
              for (int64_t i = r.begin(t); i < r.end(t); ++i) {
                const T *row_dy = pd + i * r.K, *row_x = px + i * r.K, *row_y = mask == Mask::output ? py + i * r.K : nullptr;
                T* __restrict out = to + i * r.K;
                for (int64_t k = 0; k < r.K; ++k) {
                  const C g = masked<mask>(row_dy, row_x, row_y, factor, shift, k);
                  cpu::put(out, k, factor[k] * g - slope[k] * (Element<T>::load(row_x[k]) - centre[k]) - offset[k], accumulate);
                }
              }
            });
          },
          result.dx.accumulate);
    });
  });
}

void CpuBackend::mask_and_sum(const Tensor& dy, const Tensor& y, bool relu, const Tensor& g, const Tensor& sum_g) {
  const Rows r(dy);
  dispatch_floating("mask_and_sum", dy.dtype(), [&]<class T>(T) {
    using C = typename Element<T>::Compute;
    const T *pd = dy.data<T>(), *py = relu ? y.data<T>() : nullptr;
    T* pg = data_or_null<T>(g);
    std::vector<C> partial(sum_g.defined() ? static_cast<size_t>(r.tiles * r.K) : 0, C(0));
    with_mask(relu, true, [&](auto mask) {
      cpu::with_flags(
          [&](auto keep, auto sum) {
            parallel_for(r.tiles, [&](int64_t t) {
              C* __restrict tile_g = sum ? partial.data() + t * r.K : nullptr;
              for (int64_t i = r.begin(t); i < r.end(t); ++i) {
                const T *row_dy = pd + i * r.K, *row_y = mask == Mask::output ? py + i * r.K : nullptr;
                T* __restrict out = keep ? pg + i * r.K : nullptr;
                for (int64_t k = 0; k < r.K; ++k) {
                  const C v = masked<mask, T, C>(row_dy, nullptr, row_y, nullptr, nullptr, k);
                  if constexpr (sum) tile_g[k] += v;
                  if constexpr (keep) out[k] = Element<T>::store(v);
                }
              }
            });
          },
          pg != nullptr, sum_g.defined());
    });
    if (sum_g.defined()) merge_sums(partial.data(), r, r.K, sum_g.data<C>());
  });
}

void CpuBackend::frozen_batch_norm_grads(const Tensor& raw, const Tensor& w, const BatchNormStatistics& s, const Tensor& sum_g,
                                         GradTarget dw, GradTarget dgamma) {
  const int64_t K = s.scale.numel(), width = raw.numel() / K;
  dispatch_floating("frozen_batch_norm_grads", raw.dtype(), [&]<class T>(T) {
    using C = typename Element<T>::Compute;
    const T *pr = raw.data<T>(), *pw = w.data<T>();
    T* out = data_or_null<T>(dw.tensor);
    C* og = data_or_null<C>(dgamma.tensor);
    const C *sc = s.scale.data<C>(), *m = s.mean.data<C>(), *is = s.invstd.data<C>(), *sg = data_or_null<C>(sum_g);
    parallel_for(K, [&](int64_t k) {
      double product = 0;
      for (int64_t j = 0; j < width; ++j) {
        const C v = Element<T>::load(pr[k * width + j]);
        if (og) product += static_cast<double>(v) * static_cast<double>(Element<T>::load(pw[k * width + j]));
        if (out) cpu::put(out, k * width + j, sc[k] * v, dw.accumulate);
      }
      if (og)
        cpu::put(og, k, static_cast<C>(static_cast<double>(is[k]) * (product - static_cast<double>(m[k]) * static_cast<double>(sg[k]))),
                 dgamma.accumulate);
    });
  });
}

}  // namespace dura
