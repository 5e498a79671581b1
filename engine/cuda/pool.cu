// Pooling. Backward of max pooling gathers: every input pixel looks at the windows that cover it, so no two threads write to one place and
// a sum is rounded once.
#include "engine/cuda/cuda_backend.h"

namespace dura::cuda {
inline namespace DURA_CUDA_BUILD {
namespace {

template <class T>
__global__ void max_pool_forward_kernel(ConvGeometry g, const T* x, T* y, uint8_t* index, int64_t count) {
  const int64_t i = thread_index();
  if (i >= count) return;
  const int64_t c = i % g.C, q = i / g.C % g.Q, p = i / (g.C * g.Q) % g.P, n = i / (g.C * g.Q * g.P);
  const int64_t h0 = p * g.stride - g.padding, w0 = q * g.stride - g.padding;
  float best = -INFINITY;
  int64_t where = (h0 < 0 ? -h0 : 0) * g.S + (w0 < 0 ? -w0 : 0);
  for (int64_t r = 0; r < g.R; ++r)
    for (int64_t s = 0; s < g.S; ++s) {
      const int64_t h = h0 + r, w = w0 + s;
      if (h < 0 || h >= g.H || w < 0 || w >= g.W) continue;
      const float v = load(x[((n * g.H + h) * g.W + w) * g.C + c]);
      // NaN wins and stays, as in PyTorch: comparisons with it are false.
      if (v > best || v != v) best = v, where = r * g.S + s;
    }
  store(y + i, best);
  index[i] = static_cast<uint8_t>(where);
}

template <class T>
__global__ void max_pool_backward_kernel(ConvGeometry g, const T* dy, const uint8_t* index, T* dx, bool accumulate, int64_t count) {
  const int64_t i = thread_index();
  if (i >= count) return;
  const int64_t c = i % g.C, w = i / g.C % g.W, h = i / (g.C * g.W) % g.H, n = i / (g.C * g.W * g.H);
  // The windows [first, end) along one side that cover position `at`.
  const auto first_window = [&](int64_t at, int64_t kernel) {
    const int64_t first = at + g.padding - kernel + g.stride;
    return first > 0 ? first / g.stride : 0;
  };
  const auto end_window = [&](int64_t at, int64_t windows) {
    const int64_t end = (at + g.padding) / g.stride + 1;
    return end < windows ? end : windows;
  };
  float sum = 0;
  for (int64_t p = first_window(h, g.R); p < end_window(h, g.P); ++p)
    for (int64_t q = first_window(w, g.S); q < end_window(w, g.Q); ++q) {
      const int64_t at = ((n * g.P + p) * g.Q + q) * g.C + c;
      if (index[at] == (h + g.padding - p * g.stride) * g.S + w + g.padding - q * g.stride) sum += load(dy[at]);
    }
  put(dx + i, sum, accumulate);
}

// A thread for each channel of each image: neighbouring threads read neighbouring channels.
template <class T>
__global__ void global_mean_forward_kernel(const T* x, int64_t pixels, int64_t C, T* y, int64_t count) {
  const int64_t i = thread_index();
  if (i >= count) return;
  const int64_t n = i / C, c = i % C;
  float sum = 0;
  for (int64_t p = 0; p < pixels; ++p) sum += load(x[(n * pixels + p) * C + c]);
  store(y + i, sum / static_cast<float>(pixels));
}

template <class T>
__global__ void global_mean_backward_kernel(const T* dy, int64_t pixels, int64_t C, T* dx, bool accumulate, int64_t count) {
  const int64_t i = thread_index();
  if (i < count) put(dx + i, load(dy[i / (pixels * C) * C + i % C]) / static_cast<float>(pixels), accumulate);
}

}  // namespace

void CudaBackend::max_pool_forward(const ConvGeometry& g, const Tensor& x, const Tensor& y, const Tensor& index) {
  dispatch("max_pool_forward", x.dtype(), [&]<class T>(T) {
    start("max_pool_forward", max_pool_forward_kernel<T>, grid_over(y.numel()), g, address<T>(x), address<T>(y), address<uint8_t>(index),
          y.numel());
  });
}

void CudaBackend::max_pool_backward(const ConvGeometry& g, const Tensor& dy, const Tensor& index, GradTarget dx) {
  dispatch("max_pool_backward", dy.dtype(), [&]<class T>(T) {
    start("max_pool_backward", max_pool_backward_kernel<T>, grid_over(dx.tensor.numel()), g, address<T>(dy), address<uint8_t>(index),
          address<T>(dx.tensor), dx.accumulate, dx.tensor.numel());
  });
}

void CudaBackend::global_mean_forward(const Tensor& x, const Tensor& y) {
  dispatch("global_mean_forward", x.dtype(), [&]<class T>(T) {
    start("global_mean_forward", global_mean_forward_kernel<T>, grid_over(y.numel()), address<T>(x), x.shape()[1] * x.shape()[2],
          x.shape()[3], address<T>(y), y.numel());
  });
}

void CudaBackend::global_mean_backward(const Tensor& dy, GradTarget dx) {
  const Shape& s = dx.tensor.shape();
  dispatch("global_mean_backward", dy.dtype(), [&]<class T>(T) {
    start("global_mean_backward", global_mean_backward_kernel<T>, grid_over(s.numel()), address<T>(dy), s[1] * s[2], s[3],
          address<T>(dx.tensor), dx.accumulate, s.numel());
  });
}

}  // namespace DURA_CUDA_BUILD
}  // namespace dura::cuda
