// Convolution problems for the f32 kernels: ResNet-50's layers, random operands, and a plain double reference fast enough for them.
#pragma once
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/core/backend.h"
#include "engine/core/formula.h"
#include "engine/base/parallel.h"

namespace dura::conv_cases {

inline ConvGeometry geometry(int64_t N, int64_t H, int64_t W, int64_t C, int64_t K, int64_t R, int64_t S, int64_t stride, int64_t padding) {
  ConvGeometry g{.N = N, .H = H, .W = W, .C = C, .K = K, .R = R, .S = S, .stride = stride, .padding = padding};
  g.P = (H + 2 * padding - R) / stride + 1;
  g.Q = (W + 2 * padding - S) / stride + 1;
  return g;
}

inline std::string name(const ConvGeometry& g) {
  return concat(g.N, "x", g.H, "x", g.W, "x", g.C, " -> ", g.K, ", ", g.R, "x", g.S, " stride ", g.stride, " padding ", g.padding);
}

struct Layer {
  int64_t size, C, K, filter, stride, count;  // input height and width at 224x224; count: how many times it occurs
  ConvGeometry at(int64_t N, int64_t input_size) const {
    return geometry(N, input_size, input_size, C, K, filter, filter, stride, filter / 2);
  }
};

// ResNet-50 (stride 2 in the 3x3 convolutions): 53 convolutions of 23 kinds, counting the down-sampling branches.
inline std::vector<Layer> resnet50_layers() {
  return {
      {224, 3, 64, 7, 2, 1},     {56, 64, 64, 1, 1, 1},   {56, 64, 64, 3, 1, 3},    {56, 64, 256, 1, 1, 4},   {56, 256, 64, 1, 1, 2},
      {56, 256, 128, 1, 1, 1},   {56, 128, 128, 3, 2, 1}, {28, 128, 512, 1, 1, 4},  {56, 256, 512, 1, 2, 1},  {28, 512, 128, 1, 1, 3},
      {28, 128, 128, 3, 1, 3},   {28, 512, 256, 1, 1, 1}, {28, 256, 256, 3, 2, 1},  {14, 256, 1024, 1, 1, 6}, {28, 512, 1024, 1, 2, 1},
      {14, 1024, 256, 1, 1, 5},  {14, 256, 256, 3, 1, 5}, {14, 1024, 512, 1, 1, 1}, {14, 512, 512, 3, 2, 1},  {7, 512, 2048, 1, 1, 3},
      {14, 1024, 2048, 1, 2, 1}, {7, 2048, 512, 1, 1, 2}, {7, 512, 512, 3, 1, 2},
  };
}

// Uniform in [-1, 1), a function of (seed, index).
inline Tensor random_tensor(const Shape& shape, uint64_t seed) {
  const Tensor t = Tensor::empty(shape, DType::f32, Device::cpu);
  float* p = t.data<float>();
  for (int64_t i = 0; i < t.numel(); ++i)
    p[i] = 2.0f * formula::uniform01(static_cast<uint32_t>(formula::mix64(seed * 0x10001 + static_cast<uint64_t>(i)) >> 32)) - 1.0f;
  return t;
}

struct Problem {
  ConvGeometry g;
  Tensor x, w, dy;
  explicit Problem(const ConvGeometry& geometry_, uint64_t seed = 1)
      : g(geometry_),
        x(random_tensor({g.N, g.H, g.W, g.C}, seed)),
        w(random_tensor({g.K, g.R, g.S, g.C}, seed + 1)),
        dy(random_tensor({g.N, g.P, g.Q, g.K}, seed + 2)) {}
};

using Doubles = std::vector<double>;

inline Doubles widen(const Tensor& t) { return Doubles(t.data<float>(), t.data<float>() + t.numel()); }

// Calls f(pixel of x, tap of the filter) for every tap of output pixel m that lies inside the image; both as element offsets at channel 0.
template <class F>
void for_taps(const ConvGeometry& g, int64_t m, F&& f) {
  const int64_t q = m % g.Q, p = m / g.Q % g.P, n = m / g.Q / g.P;
  for (int64_t r = 0; r < g.R; ++r)
    for (int64_t s = 0; s < g.S; ++s) {
      const int64_t h = p * g.stride - g.padding + r, w = q * g.stride - g.padding + s;
      if (h >= 0 && h < g.H && w >= 0 && w < g.W) f(((n * g.H + h) * g.W + w) * g.C, (r * g.S + s) * g.C);
    }
}

struct Reference {
  Doubles y, dx, dw;
  explicit Reference(const Problem& problem) {
    const ConvGeometry& g = problem.g;
    const Doubles x = widen(problem.x), w = widen(problem.w), dy = widen(problem.dy);
    const int64_t pixels = g.N * g.P * g.Q, filter = g.R * g.S * g.C;
    y.assign(static_cast<size_t>(pixels * g.K), 0.0), dx.assign(x.size(), 0.0), dw.assign(w.size(), 0.0);
    parallel_for(pixels, [&](int64_t m) {
      for_taps(g, m, [&](int64_t pixel, int64_t tap) {
        for (int64_t k = 0; k < g.K; ++k) {
          double sum = 0.0;
          for (int64_t c = 0; c < g.C; ++c) sum += x[static_cast<size_t>(pixel + c)] * w[static_cast<size_t>(k * filter + tap + c)];
          y[static_cast<size_t>(m * g.K + k)] += sum;
        }
      });
    });
    parallel_for(g.N, [&](int64_t n) {  // images share no element of dx
      for (int64_t m = n * g.P * g.Q; m < (n + 1) * g.P * g.Q; ++m)
        for_taps(g, m, [&](int64_t pixel, int64_t tap) {
          for (int64_t k = 0; k < g.K; ++k)
            for (int64_t c = 0; c < g.C; ++c)
              dx[static_cast<size_t>(pixel + c)] += dy[static_cast<size_t>(m * g.K + k)] * w[static_cast<size_t>(k * filter + tap + c)];
        });
    });
    parallel_for(g.K, [&](int64_t k) {
      for (int64_t m = 0; m < pixels; ++m)
        for_taps(g, m, [&](int64_t pixel, int64_t tap) {
          for (int64_t c = 0; c < g.C; ++c)
            dw[static_cast<size_t>(k * filter + tap + c)] += dy[static_cast<size_t>(m * g.K + k)] * x[static_cast<size_t>(pixel + c)];
        });
    });
  }
};

// Normalised mean squared error, and the largest difference in units of the rms of what is expected.
struct Difference {
  double nmse = 0.0, largest = 0.0;
};
inline Difference difference(const Tensor& got, const Doubles& expected) {
  double error = 0.0, power = 0.0, largest = 0.0;
  const float* p = got.data<float>();
  for (size_t i = 0; i < expected.size(); ++i) {
    const double d = static_cast<double>(p[i]) - expected[i];
    if (!(std::abs(d) <= 1e300)) return {HUGE_VAL, HUGE_VAL};
    error += d * d, power += expected[i] * expected[i], largest = std::max(largest, std::abs(d));
  }
  if (power == 0.0) return {error == 0.0 ? 0.0 : HUGE_VAL, largest};
  return {error / power, largest / std::sqrt(power / static_cast<double>(expected.size()))};
}

}  // namespace dura::conv_cases
