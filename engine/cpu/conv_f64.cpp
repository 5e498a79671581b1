#include "engine/cpu/conv_f64.h"

#include <Eigen/Core>

#include "engine/cpu/element.h"
#include "engine/base/numbers.h"
#include "engine/base/parallel.h"

namespace dura::cpu {
namespace {

// Work is cut into a fixed number of lanes, each with its own piece of the workspace; lane l takes tiles l, l+lanes, ... in order.
constexpr int64_t lanes = 8;

using Matrix = Eigen::Map<Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;

struct Tiling {
  int64_t depth, pixels, rows, tiles;  // pixels of the output, in tiles of `rows`
  explicit Tiling(const ConvGeometry& g) : depth(g.R * g.S * g.C), pixels(g.N * g.P * g.Q) {
    rows = std::max<int64_t>(8, std::min<int64_t>(256, (1 << 16) / depth));
    tiles = ceil_div(pixels, rows);
  }
  int64_t count(int64_t tile) const { return std::min(rows, pixels - tile * rows); }
};

// Elements that one lane needs.
int64_t lane_elements(const ConvGeometry& g, ConvPass pass) {
  const Tiling t(g);
  const int64_t columns = t.rows * t.depth, outputs = t.rows * g.K, filter = g.K * t.depth;
  switch (pass) {
    case ConvPass::forward:
      return columns + outputs;
    case ConvPass::backward_data:
      return columns + outputs + g.H * g.W * g.C;
    case ConvPass::backward_filter:
      return columns + outputs + filter;
  }
  return 0;
}

void gather_columns(const ConvGeometry& g, const double* x, int64_t first, int64_t count, double* columns) {
  for (int64_t i = 0; i < count; ++i) {
    const int64_t pixel = first + i, n = pixel / (g.P * g.Q), p = pixel / g.Q % g.P, q = pixel % g.Q;
    double* out = columns + i * g.R * g.S * g.C;
    for (int64_t r = 0; r < g.R; ++r)
      for (int64_t s = 0; s < g.S; ++s, out += g.C) {
        const int64_t h = p * g.stride - g.padding + r, w = q * g.stride - g.padding + s;
        const bool inside = h >= 0 && h < g.H && w >= 0 && w < g.W;
        const double* in = inside ? x + ((n * g.H + h) * g.W + w) * g.C : nullptr;
        for (int64_t c = 0; c < g.C; ++c) out[c] = inside ? in[c] : 0;
      }
  }
}

// The filter with `scale` (K) multiplied in, at the front of the workspace.
void scale_filter(const ConvGeometry& g, const Tensor& w, const Tensor& scale, double* out) {
  const double *p = w.data<double>(), *s = data_or_null<double>(scale);
  const int64_t depth = g.R * g.S * g.C;
  for (int64_t k = 0; k < g.K; ++k)
    for (int64_t j = 0; j < depth; ++j) out[k * depth + j] = p[k * depth + j] * (s ? s[k] : 1);
}

}  // namespace

size_t conv_workspace_f64(const ConvGeometry& g, ConvPass pass) {
  const size_t filter = pass == ConvPass::backward_filter ? 0 : static_cast<size_t>(g.K * g.R * g.S * g.C);
  return (static_cast<size_t>(lanes * lane_elements(g, pass)) + filter) * sizeof(double);
}

void conv_forward_f64(const ConvGeometry& g, const Tensor& x, const Tensor& w, const Epilogue& e, const Tensor& workspace,
                      const Tensor& y) {
  const Tiling t(g);
  double* filter = static_cast<double*>(workspace.raw());
  double* scratch = filter + g.K * t.depth;
  scale_filter(g, w, {}, filter);
  const double *scale = data_or_null<double>(e.scale), *bias = data_or_null<double>(e.bias);
  const double* residual = data_or_null<double>(e.residual);
  double* py = y.data<double>();
  parallel_for(lanes, [&](int64_t lane) {
    double* columns = scratch + lane * lane_elements(g, ConvPass::forward);
    double* out = columns + t.rows * t.depth;
    for (int64_t tile = lane; tile < t.tiles; tile += lanes) {
      const int64_t first = tile * t.rows, count = t.count(tile);
      gather_columns(g, x.data<double>(), first, count, columns);
      Matrix(out, count, g.K).noalias() = Matrix(columns, count, t.depth) * Matrix(filter, g.K, t.depth).transpose();
      for (int64_t i = 0; i < count * g.K; ++i) {
        const int64_t k = i % g.K, at = first * g.K + i;
        double v = out[i];
        if (scale) v *= scale[k];
        if (bias) v += bias[k];
        if (residual) v += residual[at];
        py[at] = e.relu ? formula::relu(v) : v;
      }
    }
  });
}

// Windows overlap, so a lane works on whole images: it scatters into an image that nobody else writes.
void conv_backward_data_f64(const ConvGeometry& g, const Tensor& dy, const Tensor& w, const Tensor& folded_scale, const Tensor& workspace,
                            GradTarget dx) {
  const Tiling t(g);
  double* filter = static_cast<double*>(workspace.raw());
  double* scratch = filter + g.K * t.depth;
  scale_filter(g, w, folded_scale, filter);
  const double* pd = dy.data<double>();
  double* px = dx.tensor.data<double>();
  const int64_t image = g.H * g.W * g.C, pixels = g.P * g.Q;
  parallel_for(std::min(lanes, g.N), [&](int64_t lane) {
    double* columns = scratch + lane * lane_elements(g, ConvPass::backward_data);
    double* gradient = columns + t.rows * t.depth;
    double* sum = gradient + t.rows * g.K;
    for (int64_t n = lane; n < g.N; n += lanes) {
      std::fill_n(sum, image, 0.0);
      for (int64_t first = 0; first < pixels; first += t.rows) {
        const int64_t count = std::min(t.rows, pixels - first);
        for (int64_t i = 0; i < count * g.K; ++i) gradient[i] = pd[(n * pixels + first) * g.K + i];
        Matrix(columns, count, t.depth).noalias() = Matrix(gradient, count, g.K) * Matrix(filter, g.K, t.depth);
        for (int64_t i = 0; i < count; ++i) {
          const int64_t p = (first + i) / g.Q, q = (first + i) % g.Q;
          const double* in = columns + i * t.depth;
          for (int64_t r = 0; r < g.R; ++r)
            for (int64_t s = 0; s < g.S; ++s, in += g.C) {
              const int64_t h = p * g.stride - g.padding + r, v = q * g.stride - g.padding + s;
              if (h < 0 || h >= g.H || v < 0 || v >= g.W) continue;
              for (int64_t c = 0; c < g.C; ++c) sum[(h * g.W + v) * g.C + c] += in[c];
            }
        }
      }
      for (int64_t i = 0; i < image; ++i) put(px, n * image + i, sum[i], dx.accumulate);
    }
  });
}

void conv_backward_filter_f64(const ConvGeometry& g, const Tensor& x, const Tensor& dy, const Tensor& workspace, GradTarget dw) {
  const Tiling t(g);
  double* scratch = static_cast<double*>(workspace.raw());
  const double* pd = dy.data<double>();
  const int64_t stride = lane_elements(g, ConvPass::backward_filter), filter = g.K * t.depth;
  parallel_for(lanes, [&](int64_t lane) {
    double* sum = scratch + lane * stride;
    double* columns = sum + filter;
    double* gradient = columns + t.rows * t.depth;
    std::fill_n(sum, filter, 0.0);
    for (int64_t tile = lane; tile < t.tiles; tile += lanes) {
      const int64_t first = tile * t.rows, count = t.count(tile);
      gather_columns(g, x.data<double>(), first, count, columns);
      for (int64_t i = 0; i < count * g.K; ++i) gradient[i] = pd[first * g.K + i];
      Matrix(sum, g.K, t.depth).noalias() += Matrix(gradient, count, g.K).transpose() * Matrix(columns, count, t.depth);
    }
  });
  double* out = dw.tensor.data<double>();
  parallel_ranges(filter, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      double total = 0;
      for (int64_t lane = 0; lane < lanes; ++lane) total += scratch[lane * stride + i];
      put(out, i, total, dw.accumulate);
    }
  });
}

}  // namespace dura::cpu
