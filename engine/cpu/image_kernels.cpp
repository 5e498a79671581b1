// Kernels on u8 images (N,H,W,C). Work is cut by image and row: the same bytes for any number of threads.
#include <algorithm>
#include <array>
#include <cstring>

#include "engine/cpu/cpu_backend.h"
#include "engine/cpu/element.h"
#include "engine/core/formula.h"
#include "engine/core/picture_checks.h"
#include "engine/base/numbers.h"
#include "engine/base/parallel.h"

namespace dura {
namespace {

constexpr int64_t rows_per_task = 32;

// body(n, begin, end) for runs of rows of every image.
template <class Body>
void for_rows(int64_t images, int64_t rows, const Body& body) {
  const int64_t runs = ceil_div(rows, rows_per_task);
  parallel_for(images * runs, [&](int64_t task) {
    const int64_t begin = task % runs * rows_per_task;
    body(task / runs, begin, std::min(rows, begin + rows_per_task));
  });
}

template <class T>
void normalize_to(const Tensor& x, const float mean[3], const float std[3], bool bgr, const Tensor& y) {
  // There are 256 grey levels: divide once for each, then only look up.
  using Compute = typename cpu::Element<T>::Compute;
  std::array<std::array<T, 256>, 3> table;
  for (int c = 0; c < 3; ++c)
    for (int v = 0; v < 256; ++v)
      table[c][v] = cpu::Element<T>::store((static_cast<Compute>(v) - static_cast<Compute>(mean[c])) / static_cast<Compute>(std[c]));
  const int first = bgr ? 2 : 0, last = 2 - first;
  const uint8_t* from = x.data<uint8_t>();
  T* to = y.data<T>();
  parallel_ranges(x.numel() / 3, int64_t{1} << 14, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      to[3 * i] = table[0][from[3 * i + first]];
      to[3 * i + 1] = table[1][from[3 * i + 1]];
      to[3 * i + 2] = table[2][from[3 * i + last]];
    }
  });
}

struct Picture {
  const uint8_t* pixels;
  int64_t height, width, channels;
};

// C: x.channels. m: 6 numbers of Backend::warp.
template <int64_t C>
void warp_rows(const Picture& x, const float* m, int64_t begin, int64_t end, int64_t out_width, uint8_t* out) {
  for (int64_t i = begin; i < end; ++i)
    for (int64_t j = 0; j < out_width; ++j, out += C) {
      const float fi = static_cast<float>(i), fj = static_cast<float>(j);
      const formula::LinearTap<float> r = formula::linear_tap(m[0] * fi + m[1] * fj + m[2], static_cast<int32_t>(x.height));
      const formula::LinearTap<float> c = formula::linear_tap(m[3] * fi + m[4] * fj + m[5], static_cast<int32_t>(x.width));
      const uint8_t *upper = x.pixels + r.low * x.width * C, *lower = x.pixels + r.high * x.width * C;
      for (int64_t k = 0; k < C; ++k) out[k] = formula::between_pixels(upper, lower, c.low * C + k, c.high * C + k, r.share, c.share);
    }
}

// Rows [begin,end) of one image, sharpened. The outermost pixels have no nine neighbours: the filter leaves them as they are.
void sharpen_rows(const Picture& x, float sharpness, int64_t begin, int64_t end, uint8_t* out) {
  const int64_t channels = x.channels, length = x.width * channels;
  for (int64_t i = begin; i < end; ++i, out += length) {
    const uint8_t* row = x.pixels + i * length;
    std::memcpy(out, row, static_cast<size_t>(length));
    if (i == 0 || i + 1 == x.height) continue;
    for (int64_t j = channels; j < length - channels; ++j) {
      int32_t sum = 0;
      for (int64_t r = -1; r <= 1; ++r)
        for (int64_t c = -1; c <= 1; ++c) sum += row[j + r * length + c * channels];
      out[j] = formula::blend_u8(formula::smooth_u8(sum, row[j]), row[j], sharpness);
    }
  }
}

}  // namespace

void CpuBackend::normalize(const Tensor& x, const float mean[3], const float std[3], bool bgr, const Tensor& y) {
  check_normalize(x, y);
  cpu::dispatch_floating("normalize", y.dtype(), [&](auto zero) { normalize_to<decltype(zero)>(x, mean, std, bgr, y); });
}

void CpuBackend::warp(const Tensor& x, const Tensor& rows, const Tensor& matrices, const Tensor& y) {
  check_warp(x, rows, matrices, y);
  const Shape &in = x.shape(), &out = y.shape();
  const int64_t height = in[1], width = in[2], channels = in[3];
  const uint8_t* from = x.data<uint8_t>();
  uint8_t* to = y.data<uint8_t>();
  const float* m = matrices.data<float>();
  const int32_t* picture = rows.defined() ? rows.data<int32_t>() : nullptr;
  for (int64_t n = 0; picture && n < out[0]; ++n)
    DURA_CHECK(picture[n] >= 0 && picture[n] < in[0], "warp: picture ", picture[n], " of ", in[0], " was asked for");
  for_rows(out[0], out[1], [&](int64_t n, int64_t begin, int64_t end) {
    const auto warp_picture = channels == 1 ? warp_rows<1> : warp_rows<3>;
    warp_picture({from + (picture ? picture[n] : n) * height * width * channels, height, width, channels}, m + 6 * n, begin, end, out[2],
                 to + (n * out[1] + begin) * out[2] * channels);
  });
}

void CpuBackend::enhance(const Tensor& x, const Tensor& parameters, const Tensor& y) {
  check_enhance(x, parameters, y);
  const int64_t images = x.shape()[0], height = x.shape()[1], width = x.shape()[2], channels = x.shape()[3];
  const uint8_t* from = x.data<uint8_t>();
  uint8_t* to = y.data<uint8_t>();
  const float* p = parameters.data<float>();
  for_rows(images, height, [&](int64_t n, int64_t begin, int64_t end) {
    const uint8_t* image = from + n * height * width * channels;
    const int64_t first = begin * width * channels, count = (end - begin) * width * channels;
    uint8_t* out = to + n * height * width * channels + first;
    const float sharpness = p[3 * n], brightness = p[3 * n + 1], contrast = p[3 * n + 2];
    if (sharpness == 1.0f)
      std::memcpy(out, image + first, static_cast<size_t>(count));
    else
      sharpen_rows({image, height, width, channels}, sharpness, begin, end, out);
    if (brightness == 1.0f && contrast == 1.0f) return;
    std::array<uint8_t, 256> table;
    for (int v = 0; v < 256; ++v) table[v] = formula::brightness_contrast_u8(static_cast<uint8_t>(v), brightness, contrast);
    for (int64_t i = 0; i < count; ++i) out[i] = table[out[i]];
  });
}

}  // namespace dura
