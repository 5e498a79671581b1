// Batch normalisation over the last dimension. x is M rows of K channels. Reductions are done in two stages: a thread sums one channel over
// one tile of rows (neighbouring threads have neighbouring channels), then a block merges the tiles of 32 channels, in double and in an
// order that depends on their number alone.
#include "engine/cuda/cuda_backend.h"

namespace dura::cuda {
inline namespace DURA_CUDA_BUILD {
namespace {

struct Rows {
  int64_t M, K, tile, tiles;
  explicit Rows(const Tensor& x) : K(x.shape()[x.shape().rank() - 1]) {
    constexpr int64_t most_partials = int64_t{1} << 18;  // of two floats each: 2 MiB
    M = x.numel() / K;
    tile = std::max<int64_t>(64, ceil_div(M * K, most_partials));
    tiles = ceil_div(M, tile);
  }
  int64_t partials() const { return tiles * K; }
};

// ---- statistics ----

template <class T>
__global__ void tile_moments_kernel(const T* x, int64_t M, int64_t K, int64_t tile, float* tile_mean, float* tile_m2, int64_t count) {
  const int64_t i = thread_index();
  if (i >= count) return;
  const int64_t k = i % K, begin = i / K * tile, end = begin + tile < M ? begin + tile : M;
  float sum = 0;
  for (int64_t row = begin; row < end; ++row) sum += load(x[row * K + k]);
  const float mean = sum / static_cast<float>(end - begin);
  float m2 = 0;
  for (int64_t row = begin; row < end; ++row) {
    const float d = load(x[row * K + k]) - mean;
    m2 += d * d;
  }
  tile_mean[i] = mean;
  tile_m2[i] = m2;
}

// How a block merges: thread (part, channel) takes every merge_parts-th tile of its channel, then part 0 puts the parts together in order.
constexpr int merge_channels = 32, merge_parts = 8;
Grid merging(int64_t K) { return {.blocks = ceil_div(K, merge_channels), .threads = merge_channels * merge_parts, .barriers = true}; }

__global__ void merge_moments_kernel(const float* tile_mean, const float* tile_m2, int64_t M, int64_t K, int64_t tile, int64_t tiles,
                                     float* mean, float* variance) {
  __shared__ formula::Moments of_part[merge_parts][merge_channels];
  const unsigned channel = threadIdx.x % merge_channels, part = threadIdx.x / merge_channels;
  const int64_t k = int64_t{blockIdx.x} * merge_channels + channel;
  formula::Moments all{0, 0, 0};
  if (k < K)
    for (int64_t t = part; t < tiles; t += merge_parts)
      all.add(static_cast<double>(t + 1 < tiles ? tile : M - t * tile), static_cast<double>(tile_mean[t * K + k]),
              static_cast<double>(tile_m2[t * K + k]));
  of_part[part][channel] = all;
  __syncthreads();
  if (part > 0 || k >= K) return;
  for (int p = 1; p < merge_parts; ++p) all.add(of_part[p][channel].count, of_part[p][channel].mean, of_part[p][channel].m2);
  mean[k] = static_cast<float>(all.mean);
  variance[k] = static_cast<float>(all.m2 / all.count);
}

__global__ void update_running_kernel(const float* batch, double momentum, double correction, float* running, int32_t* overflow,
                                      int64_t K) {
  const int64_t k = thread_index();
  if (k >= K) return;
  if (!is_finite(static_cast<double>(batch[k]))) *overflow = 1;
  running[k] = formula::moving(running[k], static_cast<double>(batch[k]), momentum, correction);
}

__global__ void fold_batch_norm_kernel(const float* gamma, const float* beta, const float* mean, const float* variance, double eps,
                                       float* invstd, float* scale, float* shift, int64_t K) {
  const int64_t k = thread_index();
  if (k >= K) return;
  const double inverse = 1 / sqrt(static_cast<double>(variance[k]) + eps);
  invstd[k] = static_cast<float>(inverse);
  formula::fold(gamma[k], beta[k], static_cast<double>(mean[k]), inverse, scale + k, shift + k);
}

// ---- forward ----

// W elements of one row, beginning at channel k.
template <class T, int W>
__global__ void scale_shift_act_kernel(const T* x, const float* scale, const float* shift, const T* residual, bool relu, int64_t K, T* y,
                                       int64_t count) {
  const int64_t i = thread_index() * W;
  if (i >= count) return;
  const int64_t k = i % K;
  auto values = read_pack<W>(x + i);
  Pack<T, W> others{};
  if (residual) others = read_pack<W>(residual + i);
  for (int j = 0; j < W; ++j) {
    float v = load(values.v[j]);
    if (scale) v *= scale[k + j];
    if (shift) v += shift[k + j];
    if (residual) v += load(others.v[j]);
    store(&values.v[j], relu ? formula::relu(v) : v);
  }
  write_pack(y + i, values);
}

// ---- backward ----

// Where the mask of a ReLU comes from; see BatchNormBackward.
enum class Mask : int { none, output, recomputed };

Mask mask_of(bool relu, const Tensor& y) { return !relu ? Mask::none : y.defined() ? Mask::output : Mask::recomputed; }

// The gradient behind the activation.
template <class T>
__device__ inline float masked(Mask mask, const T* dy, const T* x, const T* y, const float* scale, const float* shift, int64_t i,
                               int64_t k) {
  const float g = load(dy[i]);
  if (mask == Mask::output) return load(y[i]) > 0 ? g : 0.0f;
  if (mask == Mask::recomputed) return load(x[i]) * scale[k] + shift[k] > 0 ? g : 0.0f;
  return g;
}

template <class T>
__global__ void backward_tile_sums_kernel(Mask mask, const T* dy, const T* x, const T* y, const float* scale, const float* shift,
                                          const float* mean, const float* invstd, int64_t M, int64_t K, int64_t tile, float* tile_g,
                                          float* tile_gx, T* g, int64_t count) {
  const int64_t i = thread_index();
  if (i >= count) return;
  const int64_t k = i % K, begin = i / K * tile, end = begin + tile < M ? begin + tile : M;
  float sum_g = 0, sum_gx = 0;
  for (int64_t row = begin; row < end; ++row) {
    const int64_t at = row * K + k;
    const float v = masked(mask, dy, x, y, scale, shift, at, k);
    sum_g += v;
    if (tile_gx) sum_gx += v * ((load(x[at]) - mean[k]) * invstd[k]);
    if (g) store(g + at, v);
  }
  if (tile_g) tile_g[i] = sum_g;
  if (tile_gx) tile_gx[i] = sum_gx;
}

__global__ void merge_sums_kernel(const float* partial, int64_t K, int64_t tiles, float* sum) {
  __shared__ double of_part[merge_parts][merge_channels];
  const unsigned channel = threadIdx.x % merge_channels, part = threadIdx.x / merge_channels;
  const int64_t k = int64_t{blockIdx.x} * merge_channels + channel;
  double total = 0;
  if (k < K)
    for (int64_t t = part; t < tiles; t += merge_parts) total += static_cast<double>(partial[t * K + k]);
  of_part[part][channel] = total;
  __syncthreads();
  if (part > 0 || k >= K) return;
  for (int p = 1; p < merge_parts; ++p) total += of_part[p][channel];
  sum[k] = static_cast<float>(total);
}

// scale*(g - sg/M - xhat*sgx/M) = scale*g - slope*(x - mean) - offset
__global__ void backward_constants_kernel(const float* scale, const float* invstd, const float* sum_g, const float* sum_gx, int64_t M,
                                          int64_t K, float* slope, float* offset) {
  const int64_t k = thread_index();
  if (k >= K) return;
  const double s = static_cast<double>(scale[k]), m = static_cast<double>(M);
  slope[k] = static_cast<float>(s * static_cast<double>(invstd[k]) * static_cast<double>(sum_gx[k]) / m);
  offset[k] = static_cast<float>(s * static_cast<double>(sum_g[k]) / m);
}

template <class T>
__global__ void backward_data_kernel(Mask mask, const T* dy, const T* x, const T* y, const float* scale, const float* shift,
                                     const float* mean, const float* slope, const float* offset, int64_t K, T* dx, bool accumulate,
                                     int64_t count) {
  const int64_t i = thread_index();
  if (i >= count) return;
  const int64_t k = i % K;
  const float g = masked(mask, dy, x, y, scale, shift, i, k);
  put(dx + i, scale[k] * g - slope[k] * (load(x[i]) - mean[k]) - offset[k], accumulate);
}

// A block for each filter k.
template <class T>
__global__ void frozen_grads_kernel(const T* raw, const T* w, int64_t width, const float* scale, const float* mean, const float* invstd,
                                    const float* sum_g, T* dw, bool add_dw, float* dgamma, bool add_dgamma) {
  const int64_t k = blockIdx.x;
  double product = 0;
  for (int64_t j = threadIdx.x; j < width; j += blockDim.x) {
    const float v = load(raw[k * width + j]);
    if (dgamma) product += static_cast<double>(v) * static_cast<double>(load(w[k * width + j]));
    if (dw) put(dw + k * width + j, scale[k] * v, add_dw);
  }
  if (!dgamma) return;
  product = block_sum(product);
  if (threadIdx.x == 0)
    put(dgamma + k,
        static_cast<float>(static_cast<double>(invstd[k]) * (product - static_cast<double>(mean[k]) * static_cast<double>(sum_g[k]))),
        add_dgamma);
}

}  // namespace

void CudaBackend::channel_statistics(const Tensor& x, const Tensor& mean, const Tensor& variance) {
  const Rows r(x);
  float* tile_mean = scratch<float>(2 * r.partials());
  float* tile_m2 = tile_mean + r.partials();
  dispatch("channel_statistics", x.dtype(), [&]<class T>(T) {
    start("tile_moments", tile_moments_kernel<T>, grid_over(r.partials()), x, r.M, r.K, r.tile, tile_mean, tile_m2, r.partials());
  });
  start("merge_moments", merge_moments_kernel, merging(r.K), tile_mean, tile_m2, r.M, r.K, r.tile, r.tiles, mean, variance);
}

void CudaBackend::update_running_statistics(const BatchNormStatistics& batch, int64_t count, const BatchNormParameters& p) {
  const double correction = p.unbiased_running ? formula::unbiased_correction(count) : 1.0;
  const int64_t K = batch.mean.numel();
  start("update_running", update_running_kernel, grid_over(K), batch.mean, p.momentum, 1.0, p.running_mean, overflow_flag(), K);
  start("update_running", update_running_kernel, grid_over(K), batch.variance, p.momentum, correction, p.running_variance, overflow_flag(),
        K);
}

void CudaBackend::fold_batch_norm(const Tensor& gamma, const Tensor& beta, double eps, const BatchNormStatistics& s) {
  start("fold_batch_norm", fold_batch_norm_kernel, grid_over(gamma.numel()), gamma, beta, s.mean, s.variance, eps, s.invstd, s.scale,
        s.shift, gamma.numel());
}

void CudaBackend::scale_shift_act(const Tensor& x, const Epilogue& e, const Tensor& y) {
  const Rows r(x);
  dispatch("scale_shift_act", x.dtype(), [&]<class T>(T) {
    const T* residual = address<T>(e.residual);
    dispatch_pack<T>(r.K, {x.raw(), residual, y.raw()}, [&](auto w) {
      start("scale_shift_act", scale_shift_act_kernel<T, w.value>, grid_over(x.numel() / w.value), x, e.scale, e.bias, residual, e.relu,
            r.K, y, x.numel());
    });
  });
}

void CudaBackend::batch_norm_backward_sums(const BatchNormBackward& in, const BatchNormGradients& out) {
  const Rows r(in.x);
  const BatchNormStatistics& s = in.statistics;
  float* tile_g = scratch<float>(2 * r.partials());
  float* tile_gx = tile_g + r.partials();
  dispatch("batch_norm_backward_sums", in.x.dtype(), [&]<class T>(T) {
    start("backward_tile_sums", backward_tile_sums_kernel<T>, grid_over(r.partials()), mask_of(in.relu, in.y), in.dy, in.x, in.y, s.scale,
          s.shift, s.mean, s.invstd, r.M, r.K, r.tile, tile_g, tile_gx, out.g, r.partials());
  });
  start("merge_sums", merge_sums_kernel, merging(r.K), tile_g, r.K, r.tiles, out.sum_g);
  start("merge_sums", merge_sums_kernel, merging(r.K), tile_gx, r.K, r.tiles, out.sum_gx);
}

void CudaBackend::batch_norm_backward_data(const BatchNormBackward& in, const BatchNormGradients& out) {
  const Rows r(in.x);
  const BatchNormStatistics& s = in.statistics;
  const GradTarget& dx = out.dx;
  float* slope = scratch<float>(2 * r.K);
  float* offset = slope + r.K;
  start("backward_constants", backward_constants_kernel, grid_over(r.K), s.scale, s.invstd, out.sum_g, out.sum_gx, r.M, r.K, slope, offset);
  dispatch("batch_norm_backward_data", in.x.dtype(), [&]<class T>(T) {
    start("backward_data", backward_data_kernel<T>, grid_over(in.x.numel()), mask_of(in.relu, in.y), in.dy, in.x, in.y, s.scale, s.shift,
          s.mean, slope, offset, r.K, dx.tensor, dx.accumulate, in.x.numel());
  });
}

void CudaBackend::mask_and_sum(const Tensor& dy, const Tensor& y, bool relu, const Tensor& g, const Tensor& sum_g) {
  const Rows r(dy);
  dispatch("mask_and_sum", dy.dtype(), [&]<class T>(T) {
    if (!sum_g.defined()) {
      if (relu)
        relu_backward(dy, y, {g, false});
      else if (g.defined())
        copy(dy, g);
      return;
    }
    float* tile_g = scratch<float>(r.partials());
    constexpr const float* none = nullptr;
    constexpr const T* no_input = nullptr;
    constexpr float* no_sum = nullptr;
    start("backward_tile_sums", backward_tile_sums_kernel<T>, grid_over(r.partials()), relu ? Mask::output : Mask::none, dy, no_input,
          relu ? address<T>(y) : nullptr, none, none, none, none, r.M, r.K, r.tile, tile_g, no_sum, g, r.partials());
    start("merge_sums", merge_sums_kernel, merging(r.K), tile_g, r.K, r.tiles, sum_g);
  });
}

void CudaBackend::frozen_batch_norm_grads(const Tensor& raw, const Tensor& w, const BatchNormStatistics& s, const Tensor& sum_g,
                                          GradTarget dw, GradTarget dgamma) {
  const int64_t K = s.scale.numel();
  dispatch("frozen_batch_norm_grads", raw.dtype(), [&]<class T>(T) {
    start("frozen_grads", frozen_grads_kernel<T>, {.blocks = K, .threads = 128, .barriers = true}, raw, w, raw.numel() / K, s.scale, s.mean,
          s.invstd, sum_g, dw.tensor, dw.accumulate, dgamma.tensor, dgamma.accumulate);
  });
}

}  // namespace DURA_CUDA_BUILD
}  // namespace dura::cuda
