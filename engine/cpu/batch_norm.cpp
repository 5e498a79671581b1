// Batch normalisation over the last dimension. x is M rows of K channels; rows are cut into tiles, a tile's sums are made in one pass, and
// tiles are merged in order in double.
#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "engine/cpu/cpu_backend.h"
#include "engine/cpu/cpu_features.h"
#include "engine/cpu/element.h"
#include "engine/base/numbers.h"
#include "engine/base/parallel.h"

namespace dura {

using cpu::data_or_null;
using cpu::dispatch_floating;
using cpu::Element;
using cpu::RowBlock;

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

// What the loops over rows (engine/cpu/simd_rows.h) get of tensors; undefined ones are left out.
struct RowTensors {
  Tensor x, y = {}, dy = {}, residual = {}, out = {};
};

// One number for each channel; undefined: left out.
const void* per_channel(const Tensor& t) { return t.defined() ? t.raw() : nullptr; }

// Runs a loop over all rows, tile by tile; set(t, block) gives what else it needs.
template <class F>
void for_tiles(const Rows& r, void (*cpu::RowKernels::*loop)(const RowBlock*), const RowTensors& tensors, RowBlock block, const F& set) {
  const DType dtype = (tensors.dy.defined() ? tensors.dy : tensors.x).dtype();
  const auto kernel = cpu::row_kernels(dtype).*loop;
  const auto row = [&](const Tensor& t, int64_t i) -> char* {
    return t.defined() ? static_cast<char*>(t.raw()) + static_cast<size_t>(i * r.K) * dtype_size(dtype) : nullptr;
  };
  block.stored = cpu::stored_as(dtype);
  block.channels = static_cast<size_t>(r.K);
  parallel_for(r.tiles, [&](int64_t t) {
    RowBlock tile = block;
    const int64_t begin = r.begin(t);
    tile.rows = static_cast<size_t>(r.end(t) - begin);
    tile.x = row(tensors.x, begin), tile.y = row(tensors.y, begin), tile.dy = row(tensors.dy, begin);
    tile.residual = row(tensors.residual, begin), tile.out = row(tensors.out, begin);
    set(t, tile);
    kernel(&tile);
  });
}

// Channels of one task that merges the tiles' sums: side by side, tile after tile, so that none waits for its own last sum.
constexpr int64_t channel_grain = 32;

template <class C>
void merge_sums(const C* partial, const Rows& r, int64_t stride, C* sum) {
  parallel_ranges(r.K, channel_grain, [&](int64_t begin, int64_t end) {
    double total[channel_grain] = {};
    for (int64_t t = 0; t < r.tiles; ++t)
      for (int64_t k = begin; k < end; ++k) total[k - begin] += static_cast<double>(partial[t * stride + k]);
    for (int64_t k = begin; k < end; ++k) sum[k] = static_cast<C>(total[k - begin]);
  });
}

}  // namespace

void CpuBackend::channel_statistics(const Tensor& x, const Tensor& mean, const Tensor& variance) {
  const Rows r(x);
  dispatch_floating("channel_statistics", x.dtype(), [&]<class T>(T) {
    using C = typename Element<T>::Compute;
    const auto partial = std::make_unique_for_overwrite<C[]>(static_cast<size_t>(2 * r.tiles * r.K));  // mean and M2 of each tile
    for_tiles(r, &cpu::RowKernels::moments, {.x = x}, {},
              [&](int64_t t, RowBlock& tile) { tile.sum = partial.get() + 2 * t * r.K, tile.sum_x = partial.get() + (2 * t + 1) * r.K; });
    C *pm = mean.data<C>(), *pv = variance.data<C>();
    parallel_ranges(r.K, channel_grain, [&](int64_t begin, int64_t end) {
      formula::Moments all[channel_grain] = {};
      for (int64_t t = 0; t < r.tiles; ++t) {
        const double count = static_cast<double>(r.end(t) - r.begin(t));
        const C *tile_mean = partial.get() + 2 * t * r.K, *tile_m2 = tile_mean + r.K;
        for (int64_t k = begin; k < end; ++k) all[k - begin].add(count, static_cast<double>(tile_mean[k]), static_cast<double>(tile_m2[k]));
      }
      for (int64_t k = begin; k < end; ++k) {
        pm[k] = static_cast<C>(all[k - begin].mean);
        pv[k] = static_cast<C>(all[k - begin].m2 / all[k - begin].count);
      }
    });
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
  RowBlock block = {};
  block.scale = per_channel(e.scale), block.shift = per_channel(e.bias), block.relu = e.relu;
  for_tiles(Rows(x), &cpu::RowKernels::scale_shift, {.x = x, .residual = e.residual, .out = y}, block, [](int64_t, RowBlock&) {});
}

namespace {

// Where the mask of a ReLU comes from; see BatchNormBackward.
cpu::Mask mask_of(bool relu, const Tensor& y) { return !relu ? cpu::mask_none : y.defined() ? cpu::mask_output : cpu::mask_recomputed; }

RowBlock block_of(const BatchNormBackward& in) {
  RowBlock block = {};
  const BatchNormStatistics& s = in.statistics;
  block.mean = s.mean.raw(), block.invstd = s.invstd.raw(), block.scale = s.scale.raw(), block.shift = s.shift.raw();
  block.mask = mask_of(in.relu, in.y);
  return block;
}

}  // namespace

void CpuBackend::batch_norm_backward_sums(const BatchNormBackward& in, const BatchNormGradients& result) {
  const Rows r(in.x);
  dispatch_floating("batch_norm_backward_sums", in.x.dtype(), [&]<class T>(T) {
    using C = typename Element<T>::Compute;
    const auto partial = std::make_unique_for_overwrite<C[]>(static_cast<size_t>(2 * r.tiles * r.K));
    for_tiles(r, &cpu::RowKernels::gradient_sums, {.x = in.x, .y = in.y, .dy = in.dy, .out = result.g}, block_of(in),
              [&](int64_t t, RowBlock& tile) {
                C* const sums = partial.get() + 2 * t * r.K;
                std::fill(sums, sums + 2 * r.K, C(0));
                tile.sum = sums, tile.sum_x = sums + r.K;
              });
    merge_sums(partial.get(), r, 2 * r.K, result.sum_g.data<C>());
    merge_sums(partial.get() + r.K, r, 2 * r.K, result.sum_gx.data<C>());
  });
}

void CpuBackend::batch_norm_backward_data(const BatchNormBackward& in, const BatchNormGradients& result) {
  const Rows r(in.x);
  dispatch_floating("batch_norm_backward_data", in.x.dtype(), [&]<class T>(T) {
    using C = typename Element<T>::Compute;
    const BatchNormStatistics& s = in.statistics;
    const C *is = s.invstd.data<C>(), *scale = s.scale.data<C>(), *sg = result.sum_g.data<C>(), *sgx = result.sum_gx.data<C>();
    // scale*(g - sg/M - xhat*sgx/M) = scale*g - slope*(x - mean) - offset with per-channel constants
    std::vector<C> slope(static_cast<size_t>(r.K)), offset(static_cast<size_t>(r.K));
    for (int64_t k = 0; k < r.K; ++k) {
      const double per_x =
          static_cast<double>(scale[k]) * static_cast<double>(is[k]) * static_cast<double>(sgx[k]) / static_cast<double>(r.M);
      slope[static_cast<size_t>(k)] = static_cast<C>(per_x);
      offset[static_cast<size_t>(k)] =
          static_cast<C>(static_cast<double>(scale[k]) * static_cast<double>(sg[k]) / static_cast<double>(r.M));
    }
    RowBlock block = block_of(in);
    block.slope = slope.data(), block.offset = offset.data(), block.accumulate = result.dx.accumulate;
    for_tiles(r, &cpu::RowKernels::gradient_data, {.x = in.x, .y = in.y, .dy = in.dy, .out = result.dx.tensor}, block,
              [](int64_t, RowBlock&) {});
  });
}

void CpuBackend::mask_and_sum(const Tensor& dy, const Tensor& y, bool relu, const Tensor& g, const Tensor& sum_g) {
  const Rows r(dy);
  dispatch_floating("mask_and_sum", dy.dtype(), [&]<class T>(T) {
    using C = typename Element<T>::Compute;
    std::vector<C> partial(sum_g.defined() ? static_cast<size_t>(r.tiles * r.K) : 0, C(0));
    RowBlock block = {};
    block.mask = mask_of(relu, y);
    for_tiles(r, &cpu::RowKernels::gradient_sums, {.x = {}, .y = relu ? y : Tensor(), .dy = dy, .out = g}, block,
              [&](int64_t t, RowBlock& tile) { tile.sum = sum_g.defined() ? partial.data() + t * r.K : nullptr; });
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
