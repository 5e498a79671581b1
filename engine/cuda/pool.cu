// Pooling. Backward of max pooling gathers: every input pixel looks at the windows that cover it, so no two threads write to one place and
// a sum is rounded once.
#include "engine/cuda/cuda_backend.h"

namespace dura::cuda {
inline namespace DURA_CUDA_BUILD {
namespace {

// A thread takes W neighbouring channels (dispatch_pack) of one pixel.
struct Pixel {
  int64_t n, h, w, c;
};
__device__ inline Pixel pixel_of(int64_t element, int64_t H, int64_t W, int64_t C) {
  const int64_t pixel = element / C, row = pixel / W, n = row / H;  // a division costs more than a product
  return {n, row - n * H, pixel - row * W, element - pixel * C};
}

template <class T, int W>
__global__ void max_pool_forward_kernel(ConvGeometry g, const T* x, T* y, uint8_t* index, int64_t count) {
  const int64_t i = thread_index() * W;
  if (i >= count) return;
  const Pixel out = pixel_of(i, g.P, g.Q, g.C);
  const int64_t h0 = out.h * g.stride - g.padding, w0 = out.w * g.stride - g.padding;
  float best[W];
  Pack<uint8_t, W> where;
  for (int j = 0; j < W; ++j) {
    best[j] = -INFINITY;
    where.v[j] = static_cast<uint8_t>((h0 < 0 ? -h0 : 0) * g.S + (w0 < 0 ? -w0 : 0));
  }
  for (int64_t r = 0; r < g.R; ++r)
    for (int64_t s = 0; s < g.S; ++s) {
      const int64_t h = h0 + r, w = w0 + s;
      if (h < 0 || h >= g.H || w < 0 || w >= g.W) continue;
      const auto values = read_pack<W>(x + ((out.n * g.H + h) * g.W + w) * g.C + out.c);
      for (int j = 0; j < W; ++j) {
        const float v = load(values.v[j]);
        // NaN wins and stays, as in PyTorch: comparisons with it are false.
        if (v > best[j] || v != v) best[j] = v, where.v[j] = static_cast<uint8_t>(r * g.S + s);
      }
    }
  Pack<T, W> result;
  for (int j = 0; j < W; ++j) store(&result.v[j], best[j]);
  write_pack(y + i, result);
  write_pack(index + i, where);
}

// The sizes of a pooling in 32 bits: each thread has seven divisions, and one of 64-bit numbers asks first whether 32 would do.
struct PoolSizes {
  uint32_t H, W, C, R, S, P, Q, stride, padding;
};

// formula::windows_over in 32 bits.
struct Windows {
  uint32_t first, end;
};
__device__ inline Windows windows_over(uint32_t at, uint32_t kernel, uint32_t stride, uint32_t padding, uint32_t windows) {
  const uint32_t reach = at + padding + stride, end = (at + padding) / stride + 1;
  return {reach > kernel ? (reach - kernel) / stride : 0, end < windows ? end : windows};
}

// `count` of elements fits into 32 bits.
template <class T, int W>
__global__ void max_pool_backward_kernel(PoolSizes g, const T* dy, const uint8_t* index, T* dx, bool accumulate, uint32_t count) {
  const uint32_t i = (blockIdx.x * blockDim.x + threadIdx.x) * W;
  if (i >= count) return;
  const uint32_t pixel = i / g.C, c = i - pixel * g.C, row = pixel / g.W, w = pixel - row * g.W, n = row / g.H, h = row - n * g.H;
  const Windows down = windows_over(h, g.R, g.stride, g.padding, g.P), across = windows_over(w, g.S, g.stride, g.padding, g.Q);
  float sum[W] = {};
  for (uint32_t p = down.first; p < down.end; ++p)
    for (uint32_t q = across.first; q < across.end; ++q) {
      const uint32_t at = ((n * g.P + p) * g.Q + q) * g.C + c;
      const uint32_t here = (h + g.padding - p * g.stride) * g.S + w + g.padding - q * g.stride;
      const auto winners = read_pack<W>(index + at);
      const auto gradients = read_pack<W>(dy + at);
      for (int j = 0; j < W; ++j)
        if (winners.v[j] == here) sum[j] += load(gradients.v[j]);
    }
  Pack<T, W> result{};
  if (accumulate) result = read_pack<W>(dx + i);
  for (int j = 0; j < W; ++j) put(&result.v[j], sum[j], accumulate);
  write_pack(dx + i, result);
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
    dispatch_pack<T>(g.C, {x.raw(), y.raw(), index.raw()}, [&](auto w) {
      start("max_pool_forward", max_pool_forward_kernel<T, w.value>, grid_over(y.numel() / w.value), g, x, y, index, y.numel());
    });
  });
}

void CudaBackend::max_pool_backward(const ConvGeometry& g, const Tensor& dy, const Tensor& index, GradTarget dx) {
  const auto narrow = [](int64_t v) { return static_cast<uint32_t>(v); };
  const PoolSizes sizes{narrow(g.H), narrow(g.W), narrow(g.C),      narrow(g.R),      narrow(g.S),
                        narrow(g.P), narrow(g.Q), narrow(g.stride), narrow(g.padding)};
  // Images come one after the other, so as many as 32 bits count are done at a time.
  const int64_t of_image = g.H * g.W * g.C, of_result = g.P * g.Q * g.C, images = std::min(g.N, (int64_t{1} << 31) / of_image);
  DURA_CHECK(images > 0, "max_pool_backward: an image of ", of_image, " elements; a CUDA device takes 2^31 at most");
  dispatch("max_pool_backward", dy.dtype(), [&]<class T>(T) {
    dispatch_pack<T>(g.C, {dy.raw(), index.raw(), dx.tensor.raw()}, [&](auto w) {
      for (int64_t n = 0; n < g.N; n += images) {
        const int64_t count = std::min(images, g.N - n) * of_image;
        start("max_pool_backward", max_pool_backward_kernel<T, w.value>, grid_over(count / w.value), sizes, address<T>(dy) + n * of_result,
              address<uint8_t>(index) + n * of_result, address<T>(dx.tensor) + n * of_image, dx.accumulate, count);
      }
    });
  });
}

void CudaBackend::global_mean_forward(const Tensor& x, const Tensor& y) {
  dispatch("global_mean_forward", x.dtype(), [&]<class T>(T) {
    start("global_mean_forward", global_mean_forward_kernel<T>, grid_over(y.numel()), x, x.shape()[1] * x.shape()[2], x.shape()[3], y,
          y.numel());
  });
}

void CudaBackend::global_mean_backward(const Tensor& dy, GradTarget dx) {
  const Shape& s = dx.tensor.shape();
  dispatch("global_mean_backward", dy.dtype(), [&]<class T>(T) {
    start("global_mean_backward", global_mean_backward_kernel<T>, grid_over(s.numel()), dy, s[1] * s[2], s[3], dx.tensor, dx.accumulate,
          s.numel());
  });
}

}  // namespace DURA_CUDA_BUILD
}  // namespace dura::cuda
