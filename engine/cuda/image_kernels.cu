// Kernels on u8 images (N,H,W,C), one thread for each pixel or element, with the formulas that the CPU uses.
#include "engine/core/picture_checks.h"
#include "engine/cuda/cuda_backend.h"

namespace dura::cuda {
inline namespace DURA_CUDA_BUILD {
namespace {

struct ChannelConstants {
  float mean[3], std[3];
};

template <class T>
__global__ void normalize_kernel(const uint8_t* x, ChannelConstants constants, bool bgr, T* y, int64_t count) {
  const int64_t i = thread_index();
  if (i >= count) return;
  const int64_t c = i % 3, from = bgr ? i - c + 2 - c : i;
  store(y + i, (static_cast<float>(x[from]) - constants.mean[c]) / constants.std[c]);
}

struct WarpShape {
  int32_t pictures, height, width, channels, out_height, out_width;
};

__global__ void warp_kernel(const uint8_t* x, const int32_t* rows, const float* matrices, WarpShape s, uint8_t* y, int64_t count) {
  const int64_t index = thread_index();
  if (index >= count) return;
  const int64_t line = index / s.out_width, n = line / s.out_height;  // a division costs more than a product
  const float i = static_cast<float>(line - n * s.out_height), j = static_cast<float>(index - line * s.out_width);
  const float* m = matrices + 6 * n;
  const formula::LinearTap<float> r = formula::linear_tap(m[0] * i + m[1] * j + m[2], s.height);
  const formula::LinearTap<float> c = formula::linear_tap(m[3] * i + m[4] * j + m[5], s.width);
  const int64_t row = int64_t{s.width} * s.channels;
  const int64_t picture = rows ? rows[n] : n;
  const bool known = picture >= 0 && picture < s.pictures;  // a kernel cannot throw: of no picture a black one is made
  const uint8_t* image = x + (known ? picture : 0) * s.height * row;
  const uint8_t *upper = image + r.low * row, *lower = image + r.high * row;
  for (int32_t k = 0; k < s.channels; ++k)
    y[index * s.channels + k] =
        known ? formula::between_pixels(upper, lower, c.low * s.channels + k, c.high * s.channels + k, r.share, c.share) : uint8_t{0};
}

// The outermost pixels have no nine neighbours: sharpening leaves them as they are.
__global__ void enhance_kernel(const uint8_t* x, const float* parameters, int64_t height, int64_t width, int64_t channels, uint8_t* y,
                               int64_t count) {
  const int64_t i = thread_index();
  if (i >= count) return;
  const int64_t row_length = width * channels, line = i / row_length, n = line / height, h = line - n * height,
                w = (i - line * row_length) / channels;
  const float sharpness = parameters[3 * n], brightness = parameters[3 * n + 1], contrast = parameters[3 * n + 2];
  uint8_t v = x[i];
  if (sharpness != 1.0f && h > 0 && h + 1 < height && w > 0 && w + 1 < width) {
    int32_t sum = 0;
    for (int64_t r = -1; r <= 1; ++r)
      for (int64_t c = -1; c <= 1; ++c) sum += x[i + r * row_length + c * channels];
    v = formula::blend_u8(formula::smooth_u8(sum, v), v, sharpness);
  }
  y[i] = brightness == 1.0f && contrast == 1.0f ? v : formula::brightness_contrast_u8(v, brightness, contrast);
}

}  // namespace

void CudaBackend::normalize(const Tensor& x, const float mean[3], const float std[3], bool bgr, const Tensor& y) {
  check_normalize(x, y);
  const ChannelConstants constants{{mean[0], mean[1], mean[2]}, {std[0], std[1], std[2]}};
  dispatch("normalize", y.dtype(),
           [&]<class T>(T) { start("normalize", normalize_kernel<T>, grid_over(x.numel()), x, constants, bgr, y, x.numel()); });
}

void CudaBackend::warp(const Tensor& x, const Tensor& rows, const Tensor& matrices, const Tensor& y) {
  check_warp(x, rows, matrices, y);
  const Shape &in = x.shape(), &out = y.shape();
  const auto narrow = [](int64_t v) { return static_cast<int32_t>(v); };
  const WarpShape shape{narrow(in[0]), narrow(in[1]), narrow(in[2]), narrow(in[3]), narrow(out[1]), narrow(out[2])};
  const int64_t pixels = out[0] * out[1] * out[2];
  start("warp", warp_kernel, grid_over(pixels), x, rows, matrices, shape, y, pixels);
}

void CudaBackend::enhance(const Tensor& x, const Tensor& parameters, const Tensor& y) {
  check_enhance(x, parameters, y);
  const Shape& s = x.shape();
  start("enhance", enhance_kernel, grid_over(x.numel()), x, parameters, s[1], s[2], s[3], y, x.numel());
}

}  // namespace DURA_CUDA_BUILD
}  // namespace dura::cuda
