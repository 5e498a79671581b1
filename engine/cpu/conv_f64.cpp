#include "engine/cpu/conv.h"

#include <Eigen/Core>

#include "engine/base/numbers.h"
#include "engine/base/parallel.h"
#include "engine/cpu/conv_f32_gather.h"
#include "engine/cpu/element.h"

namespace dura::cpu {
namespace {

// Work is cut into a fixed number of lanes, each with its own piece of the workspace; lane l takes tiles l, l+lanes, ... in order.
constexpr int64_t lanes = 8;

using Rows = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Matrix = Eigen::Map<Rows>;
using Constant = Eigen::Map<const Rows>;

struct Tiling {
  int64_t depth, pixels, rows, tiles;  // pixels of the output, in tiles of `rows`
  explicit Tiling(const ConvGeometry& g) : depth(g.R * g.S * g.C), pixels(g.N * g.P * g.Q) {
    rows = std::max<int64_t>(8, std::min<int64_t>(256, (1 << 16) / depth));
    tiles = ceil_div(pixels, rows);
  }
  int64_t count(int64_t tile) const { return std::min(rows, pixels - tile * rows); }
};

// Elements that one lane needs: gathered pixels, and its sums.
int64_t lane_elements(const ConvGeometry& g, ConvPass pass) {
  const Tiling t(g);
  const int64_t sums = pass == ConvPass::forward ? t.rows * g.K : pass == ConvPass::backward_data ? g.H * g.W * g.C : g.K * t.depth;
  return t.rows * t.depth + sums;
}

}  // namespace

size_t conv_workspace_f64(const ConvGeometry& g, ConvPass pass) {
  const int64_t filter = pass == ConvPass::backward_data ? g.K * g.R * g.S * g.C : 0;
  return static_cast<size_t>(lanes * lane_elements(g, pass) + filter) * sizeof(double);
}

void conv_forward_f64(const ConvGeometry& g, const Tensor& x, const Tensor& w, const Epilogue& e, const Tensor& workspace,
                      const Tensor& y) {
  const Tiling t(g);
  const GatherGrid grid = forward_grid(g);
  double* scratch = static_cast<double*>(workspace.raw());
  const double *scale = data_or_null<double>(e.scale), *bias = data_or_null<double>(e.bias);
  const double* residual = data_or_null<double>(e.residual);
  double* py = y.data<double>();
  parallel_for(lanes, [&](int64_t lane) {
    double* columns = scratch + lane * lane_elements(g, ConvPass::forward);
    double* out = columns + t.rows * t.depth;
    for (int64_t tile = lane; tile < t.tiles; tile += lanes) {
      const int64_t first = tile * t.rows, count = t.count(tile);
      gather_rows(grid, x.data<double>(), {first, first + count}, {0, t.depth}, columns, t.depth);
      Matrix(out, count, g.K).noalias() = Matrix(columns, count, t.depth) * Constant(w.data<double>(), g.K, t.depth).transpose();
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
  const double *unscaled = w.data<double>(), *scale = data_or_null<double>(folded_scale);
  for (int64_t i = 0; i < g.K * t.depth; ++i) filter[i] = unscaled[i] * (scale ? scale[i / t.depth] : 1);
  const double* pd = dy.data<double>();
  double* px = dx.tensor.data<double>();
  const int64_t image = g.H * g.W * g.C, pixels = g.P * g.Q;
  parallel_for(std::min(lanes, g.N), [&](int64_t lane) {
    double* columns = scratch + lane * lane_elements(g, ConvPass::backward_data);
    double* sum = columns + t.rows * t.depth;
    for (int64_t n = lane; n < g.N; n += lanes) {
      std::fill_n(sum, image, 0.0);
      for (int64_t first = 0; first < pixels; first += t.rows) {
        const int64_t count = std::min(t.rows, pixels - first);
        Matrix(columns, count, t.depth).noalias() = Constant(pd + (n * pixels + first) * g.K, count, g.K) * Matrix(filter, g.K, t.depth);
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
  const GatherGrid grid = forward_grid(g);
  double* scratch = static_cast<double*>(workspace.raw());
  const double* pd = dy.data<double>();
  const int64_t stride = lane_elements(g, ConvPass::backward_filter), filter = g.K * t.depth;
  parallel_for(lanes, [&](int64_t lane) {
    double* sum = scratch + lane * stride;
    double* columns = sum + filter;
    std::fill_n(sum, filter, 0.0);
    for (int64_t tile = lane; tile < t.tiles; tile += lanes) {
      const int64_t first = tile * t.rows, count = t.count(tile);
      gather_rows(grid, x.data<double>(), {first, first + count}, {0, t.depth}, columns, t.depth);
      Matrix(sum, g.K, t.depth).noalias() += Constant(pd + first * g.K, count, g.K).transpose() * Matrix(columns, count, t.depth);
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
