// Pooling.
#include <algorithm>
#include <vector>

#include "engine/cpu/cpu_backend.h"
#include "engine/cpu/cpu_features.h"
#include "engine/cpu/element.h"
#include "engine/base/parallel.h"

namespace dura {

using cpu::dispatch_floating;
using cpu::Element;

namespace {

constexpr int64_t most_places = 256;  // of a window: the index is a byte

}  // namespace

void CpuBackend::max_pool_forward(const ConvGeometry& g, const Tensor& x, const Tensor& y, const Tensor& index) {
  const size_t element = dtype_size(x.dtype());
  const auto at = [&](const Tensor& t, int64_t pixel) { return static_cast<char*>(t.raw()) + static_cast<size_t>(pixel * g.C) * element; };
  const auto kernel = cpu::row_kernels(x.dtype()).max_pool;
  DURA_CHECK(g.R * g.S <= most_places, "max_pool_forward: a window of ", g.R, "x", g.S, " has more than ", most_places, " places");
  parallel_for(g.N * g.P, [&](int64_t row) {
    const int64_t n = row / g.P, h0 = row % g.P * g.stride - g.padding;
    const void* pixels[most_places];
    uint8_t places[most_places];
    for (int64_t q = 0; q < g.Q; ++q) {
      const int64_t w0 = q * g.stride - g.padding;
      places[0] = static_cast<uint8_t>(std::max<int64_t>(0, -h0) * g.S + std::max<int64_t>(0, -w0));
      size_t count = 0;
      for (int64_t r = 0; r < g.R; ++r)
        for (int64_t s = 0; s < g.S; ++s) {
          const int64_t h = h0 + r, w = w0 + s;
          if (h < 0 || h >= g.H || w < 0 || w >= g.W) continue;
          pixels[count] = at(x, (n * g.H + h) * g.W + w);
          places[count++] = static_cast<uint8_t>(r * g.S + s);
        }
      const int64_t pixel = row * g.Q + q;
      const cpu::PoolWindow window = {.pixels = pixels,
                                      .places = places,
                                      .count = count,
                                      .channels = static_cast<size_t>(g.C),
                                      .stored = cpu::stored_as(x.dtype()),
                                      .out = at(y, pixel),
                                      .index = index.data<uint8_t>() + pixel * g.C};
      kernel(&window);
    }
  });
}

// Windows overlap: every input pixel gathers from the windows that cover it, so that no two tasks write to one place and a sum in 16-bit
// storage is rounded once, not once for each window.
void CpuBackend::max_pool_backward(const ConvGeometry& g, const Tensor& dy, const Tensor& index, GradTarget dx) {
  dispatch_floating("max_pool_backward", dy.dtype(), [&]<class T>(T) {
    using Compute = typename Element<T>::Compute;
    const T* pd = dy.data<T>();
    const uint8_t* pi = index.data<uint8_t>();
    T* px = dx.tensor.data<T>();
    parallel_for(g.N * g.H, [&](int64_t row) {
      const int64_t n = row / g.H, h = row % g.H;
      const formula::WindowRange down = formula::windows_over(h, g.R, g.stride, g.padding, g.P);
      std::vector<Compute> sum(static_cast<size_t>(g.C));
      for (int64_t w = 0; w < g.W; ++w) {
        std::fill(sum.begin(), sum.end(), Compute(0));
        const formula::WindowRange across = formula::windows_over(w, g.S, g.stride, g.padding, g.Q);
        for (int64_t p = down.first; p < down.end; ++p)
          for (int64_t q = across.first; q < across.end; ++q) {
            const auto here = static_cast<uint8_t>((h + g.padding - p * g.stride) * g.S + w + g.padding - q * g.stride);
            const int64_t at = ((n * g.P + p) * g.Q + q) * g.C;
            Compute* __restrict to = sum.data();
            for (int64_t c = 0; c < g.C; ++c) {
              const Compute v = Element<T>::load(pd[at + c]);
              to[c] += pi[at + c] == here ? v : Compute(0);
            }
          }
        for (int64_t c = 0; c < g.C; ++c) cpu::put(px, (row * g.W + w) * g.C + c, sum[static_cast<size_t>(c)], dx.accumulate);
      }
    });
  });
}

void CpuBackend::global_mean_forward(const Tensor& x, const Tensor& y) {
  const int64_t N = x.shape()[0], pixels = x.shape()[1] * x.shape()[2], C = x.shape()[3];
  dispatch_floating("global_mean_forward", x.dtype(), [&]<class T>(T) {
    using Compute = typename Element<T>::Compute;
    const T* px = x.data<T>();
    T* py = y.data<T>();
    parallel_for(N, [&](int64_t n) {
      std::vector<Compute> sum(static_cast<size_t>(C), Compute(0));
      for (int64_t i = 0; i < pixels; ++i)
        for (int64_t c = 0; c < C; ++c) sum[static_cast<size_t>(c)] += Element<T>::load(px[(n * pixels + i) * C + c]);
      for (int64_t c = 0; c < C; ++c) py[n * C + c] = Element<T>::store(sum[static_cast<size_t>(c)] / static_cast<Compute>(pixels));
    });
  });
}

void CpuBackend::global_mean_backward(const Tensor& dy, GradTarget dx) {
  const Shape& s = dx.tensor.shape();
  const int64_t N = s[0], pixels = s[1] * s[2], C = s[3];
  dispatch_floating("global_mean_backward", dy.dtype(), [&]<class T>(T) {
    using Compute = typename Element<T>::Compute;
    const T* pd = dy.data<T>();
    T* px = dx.tensor.data<T>();
    parallel_for(N, [&](int64_t n) {
      for (int64_t i = 0; i < pixels; ++i)
        for (int64_t c = 0; c < C; ++c)
          cpu::put(px, (n * pixels + i) * C + c, Element<T>::load(pd[n * C + c]) / static_cast<Compute>(pixels), dx.accumulate);
    });
  });
}

}  // namespace dura
