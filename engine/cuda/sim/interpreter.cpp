#include "engine/cuda/sim/interpreter.h"

#include <algorithm>
#include <cmath>

#include "engine/core/formula.h"
#include "engine/base/parallel.h"

namespace dura::cuda::sim {
namespace {

double load_element(DType dtype, const void* p, int64_t i) {
  return with_type(dtype, [&]<class T>(T) { return static_cast<double>(formula::loaded(static_cast<const T*>(p)[i])); });
}
void store_element(DType dtype, void* p, int64_t i, double v) {
  with_type(dtype, [&]<class T>(T) { static_cast<T*>(p)[i] = formula::stored<T>(v); });
}

using Values = std::vector<double>;

// To TF32's 10 bits of mantissa, to nearest even.
Values tf32_of(Values v) {
  for (double& x : v) {
    int exponent = 0;
    const double mantissa = std::frexp(x, &exponent);
    x = std::ldexp(std::nearbyint(std::ldexp(mantissa, 11)), exponent - 11);
  }
  return v;
}

// Values lie as extents 0, 2, 3, 1 say, dense, wherever the strides put them in memory: images (N,H,W,C), filters (K,R,S,C).
template <class Body>
void for_each_element(const GraphTensor& t, const Body& body) {
  const auto [n, c, h, w] = t.extents;
  parallel_for(n * h, [&, c = c, h = h, w = w](int64_t row) {
    const int64_t i = row / h, y = row % h;
    for (int64_t x = 0; x < w; ++x)
      for (int64_t k = 0; k < c; ++k)
        body((row * w + x) * c + k, i * t.strides[0] + k * t.strides[1] + y * t.strides[2] + x * t.strides[3]);
  });
}
// Which bit of a mask belongs to which element is the graphs' own affair: here, they lie in the order of memory.
Values load_bits(const GraphTensor& t, const void* address) {
  Values v(static_cast<size_t>(t.numel()));
  const uint8_t* bytes = static_cast<const uint8_t*>(address);
  for (size_t i = 0; i < v.size(); ++i) v[i] = (bytes[i / 8] >> (i % 8)) & 1;
  return v;
}
void store_bits(const Values& v, void* address) {
  uint8_t* bytes = static_cast<uint8_t*>(address);
  for (size_t i = 0; i < v.size(); i += 8) {
    unsigned byte = 0;
    for (size_t j = i; j < std::min(i + 8, v.size()); ++j) byte |= static_cast<unsigned>(v[j] != 0) << (j - i);
    bytes[i / 8] = static_cast<uint8_t>(byte);
  }
}

Values load(const GraphTensor& t, const void* address) {
  if (t.bits) return load_bits(t, address);
  Values v(static_cast<size_t>(t.numel()));
  for_each_element(t, [&](int64_t dense, int64_t at) { v[static_cast<size_t>(dense)] = load_element(t.dtype, address, at); });
  return v;
}
void store(const GraphTensor& t, const Values& v, void* address) {
  if (t.bits) return store_bits(v, address);
  for_each_element(t, [&](int64_t dense, int64_t at) { store_element(t.dtype, address, at, v[static_cast<size_t>(dense)]); });
}

// ---- matrix products of doubles, in a fixed order of additions ----

// A matrix whose element (i,j) is at data[i*row + j*column].
struct MatrixView {
  const double* data;
  int64_t row, column;
};

// c (m,n) += a (m,k) b (k,n); b and c are dense.
void add_product(int64_t m, int64_t n, int64_t k, MatrixView a, const double* b, double* c) {
  constexpr int64_t rows = 4, columns = 4;  // of sums that stay in registers
  for (int64_t j = 0; j < n; j += columns)
    for (int64_t i = 0; i < m; i += rows) {
      const int64_t height = std::min(rows, m - i), width = std::min(columns, n - j);
      if (height == rows && width == columns) {
        double sum[rows][columns] = {};
        for (int64_t p = 0; p < k; ++p) {
          const double* right = b + p * n + j;
          const double* left = a.data + i * a.row + p * a.column;
          for (int64_t y = 0; y < rows; ++y)
            for (int64_t x = 0; x < columns; ++x) sum[y][x] += left[y * a.row] * right[x];
        }
        for (int64_t y = 0; y < rows; ++y)
          for (int64_t x = 0; x < columns; ++x) c[(i + y) * n + j + x] += sum[y][x];
        continue;
      }
      for (int64_t y = 0; y < height; ++y)
        for (int64_t x = 0; x < width; ++x) {
          double sum = 0;
          for (int64_t p = 0; p < k; ++p) sum += a.data[(i + y) * a.row + p * a.column] * b[p * n + j + x];
          c[(i + y) * n + j + x] += sum;
        }
    }
}

// ---- convolutions as matrix products over tiles of output pixels ----

struct Conv : ConvGeometry {
  Conv(const GraphTensor& x, const GraphTensor& w, const GraphTensor& y, const GraphNode& n)
      : ConvGeometry{x.extents[0], x.extents[2], x.extents[3], x.extents[1], w.extents[0], w.extents[2],
                     w.extents[3], y.extents[2], y.extents[3], n.stride,     n.padding} {}
  int64_t depth() const { return R * S * C; }
  int64_t pixels() const { return N * P * Q; }

  // Calls f(input pixel or -1, place in a row of columns) for each place of the filter over output pixel i.
  template <class F>
  void window(int64_t i, const F& f) const {
    const int64_t n = i / (P * Q), p = i / Q % P, q = i % Q;
    for (int64_t r = 0; r < R; ++r)
      for (int64_t s = 0; s < S; ++s) {
        const int64_t h = p * stride - padding + r, w = q * stride - padding + s;
        f(h >= 0 && h < H && w >= 0 && w < W ? (n * H + h) * W + w : -1, (r * S + s) * C);
      }
  }
  void gather(const Values& x, int64_t first, int64_t count, double* columns) const {
    for (int64_t i = 0; i < count; ++i)
      window(first + i, [&](int64_t pixel, int64_t place) {
        double* to = columns + i * depth() + place;
        if (pixel < 0) {
          std::fill_n(to, C, 0.0);
        } else {
          std::copy_n(x.data() + pixel * C, C, to);
        }
      });
  }
};

constexpr int64_t tile = 32;

Values conv_forward(const Conv& g, const Values& x, const Values& w) {
  const int64_t depth = g.depth();
  Values by_depth(w.size());  // (R,S,C,K): the product wants neighbouring outputs next to each other
  for (int64_t k = 0; k < g.K; ++k)
    for (int64_t d = 0; d < depth; ++d) by_depth[static_cast<size_t>(d * g.K + k)] = w[static_cast<size_t>(k * depth + d)];
  Values y(static_cast<size_t>(g.pixels() * g.K), 0.0);
  parallel_ranges(g.pixels(), tile, [&](int64_t begin, int64_t end) {
    Values columns(static_cast<size_t>((end - begin) * depth));
    g.gather(x, begin, end - begin, columns.data());
    add_product(end - begin, g.K, depth, {columns.data(), depth, 1}, by_depth.data(), y.data() + begin * g.K);
  });
  return y;
}

Values conv_backward_data(const Conv& g, const Values& dy, const Values& w) {
  const int64_t depth = g.depth(), image = g.P * g.Q;
  Values dx(static_cast<size_t>(g.N * g.H * g.W * g.C), 0.0);
  // Windows overlap, so one image is one task.
  parallel_for(g.N, [&](int64_t n) {
    Values columns(static_cast<size_t>(tile * depth));
    for (int64_t first = n * image; first < (n + 1) * image; first += tile) {
      const int64_t count = std::min(tile, (n + 1) * image - first);
      std::fill(columns.begin(), columns.end(), 0.0);
      add_product(count, depth, g.K, {dy.data() + first * g.K, g.K, 1}, w.data(), columns.data());
      for (int64_t i = 0; i < count; ++i)
        g.window(first + i, [&](int64_t pixel, int64_t place) {
          if (pixel < 0) return;
          const double* from = columns.data() + i * depth + place;
          double* to = dx.data() + pixel * g.C;
          for (int64_t c = 0; c < g.C; ++c) to[c] += from[c];
        });
    }
  });
  return dx;
}

Values conv_backward_filter(const Conv& g, const Values& x, const Values& dy) {
  constexpr int64_t many = 8 * tile, rows = 16;
  const int64_t depth = g.depth();
  Values dw(static_cast<size_t>(g.K * depth), 0.0), columns(static_cast<size_t>(std::min(many, g.pixels()) * depth));
  for (int64_t first = 0; first < g.pixels(); first += many) {
    const int64_t count = std::min(many, g.pixels() - first);
    parallel_ranges(count, tile,
                    [&](int64_t begin, int64_t end) { g.gather(x, first + begin, end - begin, columns.data() + begin * depth); });
    parallel_ranges(g.K, rows, [&](int64_t begin, int64_t end) {
      add_product(end - begin, depth, count, {dy.data() + first * g.K + begin, 1, g.K}, columns.data(), dw.data() + begin * depth);
    });
  }
  return dw;
}

// ---- batch normalisation over everything but the channel ----

struct Normalised {
  Values y, mean, invstd;
};

Normalised batch_norm_training(double epsilon, const Values& x, const Values& gamma, const Values& beta) {
  const size_t C = gamma.size(), M = x.size() / C;
  Normalised out{Values(x.size()), Values(C, 0.0), Values(C)};
  Values variance(C, 0.0);
  for (size_t i = 0; i < x.size(); ++i) out.mean[i % C] += x[i] / static_cast<double>(M);
  for (size_t i = 0; i < x.size(); ++i) variance[i % C] += (x[i] - out.mean[i % C]) * (x[i] - out.mean[i % C]) / static_cast<double>(M);
  for (size_t c = 0; c < C; ++c) out.invstd[c] = 1 / std::sqrt(variance[c] + epsilon);
  for (size_t i = 0; i < x.size(); ++i) out.y[i] = (x[i] - out.mean[i % C]) * out.invstd[i % C] * gamma[i % C] + beta[i % C];
  return out;
}

struct NormalisedBackward {
  Values dx, dgamma, dbeta;
};

NormalisedBackward batch_norm_backward(const Values& dy, const Values& x, const Values& gamma, const Values& mean, const Values& invstd) {
  const size_t C = gamma.size();
  const double M = static_cast<double>(x.size() / C);
  NormalisedBackward out{Values(x.size()), Values(C, 0.0), Values(C, 0.0)};
  for (size_t i = 0; i < x.size(); ++i) {
    out.dbeta[i % C] += dy[i];
    out.dgamma[i % C] += dy[i] * (x[i] - mean[i % C]) * invstd[i % C];
  }
  for (size_t i = 0; i < x.size(); ++i) {
    const size_t c = i % C;
    out.dx[i] = gamma[c] * invstd[c] * (dy[i] - (out.dbeta[c] + (x[i] - mean[c]) * invstd[c] * out.dgamma[c]) / M);
  }
  return out;
}

// The values of a graph's tensors while it runs; what lies in memory is read when it is asked for.
class Run {
 public:
  Run(const Graph& graph, const std::vector<void*>& addresses) : graph_(graph), addresses_(addresses), values_(graph.tensors.size()) {}

  void node(const GraphNode& n) {
    const auto in = [&](size_t i) -> const Values& { return value(n.inputs[i]); };
    const auto factor = [&](size_t i) { return graph_.tf32 ? tf32_of(in(i)) : in(i); };
    const auto tensor = [&](int i) -> const GraphTensor& { return graph_.tensors[static_cast<size_t>(i)]; };
    switch (n.operation) {
      case Operation::conv_forward:
        return set(n, 0, conv_forward(Conv(tensor(n.inputs[0]), tensor(n.inputs[1]), tensor(n.outputs[0]), n), factor(0), factor(1)));
      case Operation::conv_backward_data:
        return set(n, 0, conv_backward_data(Conv(tensor(n.outputs[0]), tensor(n.inputs[1]), tensor(n.inputs[0]), n), factor(0), factor(1)));
      case Operation::conv_backward_filter:
        return set(n, 0,
                   conv_backward_filter(Conv(tensor(n.inputs[0]), tensor(n.outputs[0]), tensor(n.inputs[1]), n), factor(0), factor(1)));
      case Operation::add: {
        Values y = in(0);
        const Values& b = in(1);
        const bool per_channel = tensor(n.inputs[1]).numel() != tensor(n.inputs[0]).numel();
        for (size_t i = 0; i < y.size(); ++i) y[i] += per_channel ? b[i % b.size()] : b[i];
        return set(n, 0, std::move(y));
      }
      case Operation::relu:
        return map(n, [](double v) { return formula::relu(v); });
      case Operation::greater_than_zero:
        return map(n, [](double v) { return v > 0 ? 1.0 : 0.0; });
      case Operation::select: {
        Values y = in(0);
        const Values& mask = in(1);
        for (size_t i = 0; i < y.size(); ++i)
          if (mask[i] == 0) y[i] = 0;
        return set(n, 0, std::move(y));
      }
      case Operation::batch_norm_training: {
        Normalised r = batch_norm_training(n.epsilon, in(0), in(1), in(2));
        set(n, 0, std::move(r.y));
        set(n, 1, std::move(r.mean));
        return set(n, 2, std::move(r.invstd));
      }
      case Operation::batch_norm_backward: {
        NormalisedBackward r = batch_norm_backward(in(0), in(1), in(2), in(3), in(4));
        set(n, 0, std::move(r.dx));
        set(n, 1, std::move(r.dgamma));
        return set(n, 2, std::move(r.dbeta));
      }
    }
  }

 private:
  const Values& value(int index) {
    const auto i = static_cast<size_t>(index);
    if (values_[i].empty()) values_[i] = load(graph_.tensors[i], addresses_[i]);
    return values_[i];
  }
  template <class F>
  void map(const GraphNode& n, const F& f) {
    Values y = value(n.inputs[0]);
    for (double& v : y) v = f(v);
    set(n, 0, std::move(y));
  }
  void set(const GraphNode& n, size_t output, Values v) {
    const auto i = static_cast<size_t>(n.outputs[output]);
    const GraphTensor& t = graph_.tensors[i];
    if (t.is_virtual) {
      values_[i] = std::move(v);
      return;
    }
    if (n.accumulate) {
      const Values before = load(t, addresses_[i]);
      for (size_t j = 0; j < v.size(); ++j) v[j] += before[j];
    }
    store(t, v, addresses_[i]);
    values_[i].clear();  // a later node reads what memory has: the rounded values
  }

  const Graph& graph_;
  const std::vector<void*>& addresses_;
  std::vector<Values> values_;
};

}  // namespace

void interpret(const Graph& graph, const std::vector<void*>& addresses) {
  Run run(graph, addresses);
  for (const GraphNode& n : graph.nodes) run.node(n);
}

void multiply(const Product& p, bool tf32) {
  const auto read = [&](const void* from, int64_t rows, int64_t columns, bool transposed) {
    Values v(static_cast<size_t>(rows * columns));
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j)
        v[static_cast<size_t>(i * columns + j)] = load_element(p.dtype, from, transposed ? j * rows + i : i * columns + j);
    return v;
  };
  Values a = read(p.a, p.m, p.k, p.transpose_a), b = read(p.b, p.k, p.n, p.transpose_b);
  if (tf32) a = tf32_of(std::move(a)), b = tf32_of(std::move(b));
  Values c(static_cast<size_t>(p.m * p.n), 0.0);
  add_product(p.m, p.n, p.k, {a.data(), p.k, 1}, b.data(), c.data());
  for (int64_t i = 0; i < p.m * p.n; ++i) {
    double v = c[static_cast<size_t>(i)];
    if (p.bias) v += load_element(p.dtype, p.bias, i % p.n);
    if (p.accumulate) v += load_element(p.dtype, p.c, i);
    store_element(p.dtype, p.c, i, v);
  }
}

}  // namespace dura::cuda::sim
