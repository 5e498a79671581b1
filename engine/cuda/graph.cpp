#include "engine/cuda/graph.h"

#include <algorithm>
#include <functional>
#include <iterator>

#include "engine/base/numbers.h"

namespace dura::cuda {
namespace {

// By Operation.
constexpr struct {
  const char* name;
  size_t inputs, outputs;
} kinds[] = {
    {"conv_forward", 2, 1},
    {"conv_backward_data", 2, 1},
    {"conv_backward_filter", 2, 1},
    {"add", 2, 1},
    {"relu", 1, 1},
    {"greater_than_zero", 1, 1},
    {"select", 2, 1},
    {"batch_norm_training", 3, 3},
    {"batch_norm_backward", 5, 3},
};
static_assert(std::size(kinds) == static_cast<size_t>(Operation::batch_norm_backward) + 1, "one entry for each operation");
const auto& kind_of(Operation o) { return kinds[static_cast<size_t>(o)]; }

bool is_convolution(Operation o) {
  return o == Operation::conv_forward || o == Operation::conv_backward_data || o == Operation::conv_backward_filter;
}

std::string extents_text(const GraphTensor& t) {
  return concat(t.name, " (", t.extents[0], ",", t.extents[1], ",", t.extents[2], ",", t.extents[3], ")");
}

// The image, filter and output of a convolution, whichever of them is computed.
struct ConvTensors {
  const GraphTensor &x, &w, &y;
};
ConvTensors conv_tensors(const Graph& g, const GraphNode& n) {
  const GraphTensor& a = g.tensors[static_cast<size_t>(n.inputs[0])];
  const GraphTensor& b = g.tensors[static_cast<size_t>(n.inputs[1])];
  const GraphTensor& out = g.tensors[static_cast<size_t>(n.outputs[0])];
  if (n.operation == Operation::conv_forward) return {a, b, out};
  if (n.operation == Operation::conv_backward_data) return {out, b, a};
  return {a, out, b};
}

void check_convolution(const Graph& g, const GraphNode& n) {
  const auto [x, w, y] = conv_tensors(g, n);
  bool fits =
      x.extents[0] == y.extents[0] && x.extents[1] == w.extents[1] && y.extents[1] == w.extents[0] && n.stride >= 1 && n.padding >= 0;
  for (size_t d : {size_t{2}, size_t{3}}) fits = fits && (x.extents[d] + 2 * n.padding - w.extents[d]) / n.stride + 1 == y.extents[d];
  DURA_CHECK(fits, "graph ", g.name, ", ", operation_name(n.operation), ": ", extents_text(x), ", ", extents_text(w), " and ",
             extents_text(y), " do not fit with stride ", n.stride, " and padding ", n.padding);
}

}  // namespace

const char* operation_name(Operation operation) { return kind_of(operation).name; }

GraphTensor image_tensor(const std::string& name, int64_t N, int64_t H, int64_t W, int64_t C, DType dtype) {
  return {name, {N, C, H, W}, {H * W * C, 1, W * C, C}, dtype, false};
}
GraphTensor filter_tensor(const std::string& name, int64_t K, int64_t R, int64_t S, int64_t C, DType dtype) {
  return {name, {K, C, R, S}, {R * S * C, 1, S * C, C}, dtype, false};
}
GraphTensor channel_tensor(const std::string& name, int64_t C, DType dtype) { return {name, {1, C, 1, 1}, {C, 1, C, C}, dtype, false}; }

GraphTensor mask_tensor(const std::string& name, int64_t N, int64_t H, int64_t W, int64_t C) {
  GraphTensor t = image_tensor(name, N, H, W, C, DType::u8);
  t.bits = true;
  return t;
}

void check_graph(const Graph& g) {
  DURA_CHECK(!g.nodes.empty(), "graph ", g.name, " has no operation");
  std::vector<bool> known(g.tensors.size(), false), used(g.tensors.size(), false);
  for (const GraphNode& n : g.nodes) {
    const auto where = [&] { return concat("graph ", g.name, ", ", operation_name(n.operation), ": "); };
    const auto& a = kind_of(n.operation);
    DURA_CHECK(n.inputs.size() == a.inputs && n.outputs.size() == a.outputs, where(), n.inputs.size(), " inputs and ", n.outputs.size(),
               " outputs, expected ", a.inputs, " and ", a.outputs);
    for (const std::vector<int>& indices : {n.inputs, n.outputs})
      for (int i : indices) {
        DURA_CHECK(i >= 0 && static_cast<size_t>(i) < g.tensors.size(), where(), "tensor ", i, " of ", g.tensors.size());
        used[static_cast<size_t>(i)] = true;
      }
    const auto input = [&](size_t i) -> const GraphTensor& { return g.tensors[static_cast<size_t>(n.inputs[i])]; };
    const auto output = [&](size_t i) -> const GraphTensor& { return g.tensors[static_cast<size_t>(n.outputs[i])]; };
    for (int i : n.inputs)
      DURA_CHECK(!g.tensors[static_cast<size_t>(i)].is_virtual || known[static_cast<size_t>(i)], where(), "the virtual tensor ",
                 g.tensors[static_cast<size_t>(i)].name, " is read before it is computed");
    for (int i : n.outputs) {
      DURA_CHECK(!known[static_cast<size_t>(i)], where(), g.tensors[static_cast<size_t>(i)].name, " is computed twice");
      known[static_cast<size_t>(i)] = true;
    }
    if (is_convolution(n.operation)) {
      check_convolution(g, n);
      continue;
    }
    DURA_CHECK(input(0).extents == output(0).extents, where(), extents_text(input(0)), " and ", extents_text(output(0)), " differ");
    const std::array<int64_t, 4> channels{1, input(0).extents[1], 1, 1};
    const auto check_channels = [&](const GraphTensor& t) {
      DURA_CHECK(t.extents == channels, where(), extents_text(t), " does not have one value for each of ", channels[1], " channels");
    };
    if (n.operation == Operation::add && input(1).extents != input(0).extents) check_channels(input(1));
    if (n.operation == Operation::select || n.operation == Operation::greater_than_zero) {
      const GraphTensor& mask = n.operation == Operation::select ? input(1) : output(0);
      DURA_CHECK(mask.bits && mask.extents == input(0).extents, where(), extents_text(mask), " is no mask of ", extents_text(input(0)));
    }
    const bool backward = n.operation == Operation::batch_norm_backward;
    if (backward || n.operation == Operation::batch_norm_training) {
      if (backward)
        DURA_CHECK(input(1).extents == input(0).extents, where(), extents_text(input(1)), " and ", extents_text(input(0)), " differ");
      for (size_t i = backward ? 2 : 1; i < a.inputs; ++i) check_channels(input(i));
      for (size_t i = 1; i < a.outputs; ++i) check_channels(output(i));
    }
  }
  for (size_t i = 0; i < used.size(); ++i) DURA_CHECK(used[i], "graph ", g.name, ": no operation reads or computes ", g.tensors[i].name);
}

bool multiplies_f32(const Graph& g) {
  const auto product = [](const GraphNode& n) { return is_convolution(n.operation); };
  return g.tensors.front().dtype == DType::f32 && std::any_of(g.nodes.begin(), g.nodes.end(), product);
}

size_t GraphHash::operator()(const Graph& g) const {
  size_t h = g.nodes.size() * 2 + g.tf32;
  const auto mix = [&h](size_t value) { h = (h ^ value) * 0x9E3779B97F4A7C15ull + (h >> 29); };
  for (const GraphTensor& t : g.tensors) {
    for (int64_t e : t.extents) mix(static_cast<size_t>(e));
    for (int64_t s : t.strides) mix(static_cast<size_t>(s));
    mix(static_cast<size_t>(t.dtype) * 4 + t.is_virtual * 2 + t.bits);
  }
  for (const GraphNode& n : g.nodes) {
    mix(static_cast<size_t>(n.operation) * 2 + n.accumulate);
    for (int i : n.inputs) mix(static_cast<size_t>(i));
    for (int i : n.outputs) mix(static_cast<size_t>(i));
    mix(static_cast<size_t>(n.stride * 64 + n.padding));
    mix(std::hash<double>()(n.epsilon));
  }
  return h;
}

std::string describe(const Graph& g) {
  std::string text = g.name + (g.tf32 ? " (TF32 allowed)\n" : "\n");
  const auto list = [](const auto& values, const auto& item) {
    std::string all;
    for (const auto& v : values) all += concat(all.empty() ? "" : ",", item(v));
    return all;
  };
  const auto number = [](int64_t v) { return v; };
  for (const GraphTensor& t : g.tensors)
    text += concat("  ", t.name, ": ", t.bits ? "bits" : dtype_name(t.dtype), " (", list(t.extents, number), ") strides (",
                   list(t.strides, number), ")", t.is_virtual ? " virtual\n" : "\n");
  const auto tensor = [&g](int i) { return g.tensors.at(static_cast<size_t>(i)).name; };
  for (const GraphNode& n : g.nodes) {
    text += concat("  ", list(n.outputs, tensor), " = ", operation_name(n.operation), "(", list(n.inputs, tensor), ")");
    if (is_convolution(n.operation)) text += concat(" stride ", n.stride, " padding ", n.padding, n.accumulate ? " accumulated" : "");
    if (n.operation == Operation::batch_norm_training) text += concat(" epsilon ", n.epsilon);
    text += "\n";
  }
  return text;
}

namespace {

// Steps from one image to the next of the same extents: all but the last are virtual.
class Chain {
 public:
  Chain(Graph& graph, int last, int steps) : graph_(graph), last_(last), left_(steps) {}
  // The tensor that the next step writes.
  int next(const char* name) {
    if (--left_ == 0) return at_ = last_;
    GraphTensor t = graph_.tensors[static_cast<size_t>(last_)];
    t.name = name;
    t.dtype = DType::f32;
    t.is_virtual = true;
    return at_ = graph_.add_tensor(t);
  }
  void add(int other) {
    const int from = at_;
    append(Operation::add, {from, other}, next(("+ " + graph_.tensors[static_cast<size_t>(other)].name).c_str()));
  }
  void relu() {
    const int from = at_;
    append(Operation::relu, {from}, next("relu"));
  }

 private:
  void append(Operation o, std::vector<int> inputs, int output) {
    graph_.nodes.push_back({.operation = o, .inputs = std::move(inputs), .outputs = {output}});
  }

  Graph& graph_;
  int last_, left_, at_ = -1;
};

}  // namespace

Graph conv_graph(const ConvGeometry& g, DType dtype, const ConvKey& key) {
  Graph graph;
  const auto input_image = [&](const char* name) { return graph.add_tensor(image_tensor(name, g.N, g.H, g.W, g.C, dtype)); };
  const auto output_image = [&](const char* name) { return graph.add_tensor(image_tensor(name, g.N, g.P, g.Q, g.K, dtype)); };
  const auto filter = [&](const char* name) { return graph.add_tensor(filter_tensor(name, g.K, g.R, g.S, g.C, dtype)); };
  const auto convolve = [&](Operation o, int a, int b, int out) {
    graph.name = concat(operation_name(o), " ", dtype_name(dtype), " (", g.N, ",", g.H, ",", g.W, ",", g.C, ") * (", g.K, ",", g.R, ",",
                        g.S, ",", g.C, ") stride ", g.stride, " padding ", g.padding, key.residual ? " + residual" : "",
                        key.bias ? " + bias" : "", key.relu ? ", relu" : "", key.accumulate ? ", accumulated" : "");
    graph.nodes.push_back(
        {.operation = o, .inputs = {a, b}, .outputs = {out}, .stride = g.stride, .padding = g.padding, .accumulate = key.accumulate});
  };
  switch (key.pass) {
    case ConvPass::forward: {
      const int x = input_image("x"), w = filter("w");
      const int residual = key.residual ? output_image("residual") : -1;
      const int bias = key.bias ? graph.add_tensor(channel_tensor("bias", g.K, dtype)) : -1;
      Chain chain(graph, output_image("y"), 1 + key.residual + key.bias + key.relu);
      convolve(Operation::conv_forward, x, w, chain.next("conv"));
      if (key.residual) chain.add(residual);
      if (key.bias) chain.add(bias);
      if (key.relu) chain.relu();
      return graph;
    }
    case ConvPass::backward_data: {
      const int dy = output_image("dy"), w = filter("w");
      convolve(Operation::conv_backward_data, dy, w, input_image("dx"));
      return graph;
    }
    case ConvPass::backward_filter: {
      const int x = input_image("x"), dy = output_image("dy");
      convolve(Operation::conv_backward_filter, x, dy, filter("dw"));
      return graph;
    }
  }
  fail("conv_graph: no such pass");
}

Graph batch_norm_training_graph(const Shape& shape, DType dtype, const BatchNormOptions& options) {
  DURA_CHECK(shape.rank() == 4, "batch_norm_training_graph: the input has shape ", shape, ", expected (N,H,W,C)");
  const int64_t N = shape[0], H = shape[1], W = shape[2], C = shape[3];
  Graph graph;
  graph.name = concat("batch_norm_training ", dtype_name(dtype), " ", shape, options.residual ? " + residual" : "",
                      options.relu ? ", relu, mask" : "");
  const auto channels = [&](const char* name) { return graph.add_tensor(channel_tensor(name, C, DType::f32)); };
  const int x = graph.add_tensor(image_tensor("x", N, H, W, C, dtype));
  const int gamma = channels("gamma"), beta = channels("beta");
  const int residual = options.residual ? graph.add_tensor(image_tensor("residual", N, H, W, C, dtype)) : -1;
  const int y = graph.add_tensor(image_tensor("y", N, H, W, C, dtype));
  const int mask = options.relu ? graph.add_tensor(mask_tensor("mask", N, H, W, C)) : -1;
  const int mean = channels("mean"), invstd = channels("invstd");
  Chain chain(graph, y, 1 + options.residual + options.relu);
  graph.nodes.push_back({.operation = Operation::batch_norm_training,
                         .inputs = {x, gamma, beta},
                         .outputs = {chain.next("normalised"), mean, invstd},
                         .epsilon = static_cast<double>(static_cast<float>(options.eps))});
  if (options.residual) chain.add(residual);
  if (options.relu) {
    chain.relu();
    graph.nodes.push_back({.operation = Operation::greater_than_zero, .inputs = {y}, .outputs = {mask}});
  }
  return graph;
}

Graph batch_norm_backward_graph(const Shape& shape, DType dtype, const BatchNormOptions& options) {
  const bool relu = options.relu, write_g = options.writes_g;
  DURA_CHECK(shape.rank() == 4, "batch_norm_backward_graph: the input has shape ", shape, ", expected (N,H,W,C)");
  DURA_CHECK(relu || !write_g, "batch_norm_backward_graph: without relu g is dy, there is nothing to write");
  const int64_t N = shape[0], H = shape[1], W = shape[2], C = shape[3];
  Graph graph;
  graph.name =
      concat("batch_norm_backward ", dtype_name(dtype), " ", shape, relu ? ", mask" : "", write_g ? ", masked gradient written" : "");
  const auto image = [&](const char* name) { return graph.add_tensor(image_tensor(name, N, H, W, C, dtype)); };
  const auto channels = [&](const char* name) { return graph.add_tensor(channel_tensor(name, C, DType::f32)); };
  const int dy = image("dy");
  const int mask = relu ? graph.add_tensor(mask_tensor("mask", N, H, W, C)) : -1;
  const int x = image("x");
  const int gamma = channels("gamma"), mean = channels("mean"), invstd = channels("invstd");
  int g = dy;
  if (relu) {
    // Of the images' type also where it is virtual: engines take no other.
    g = image("g");
    graph.tensors[static_cast<size_t>(g)].is_virtual = !write_g;
    graph.nodes.push_back({.operation = Operation::select, .inputs = {dy, mask}, .outputs = {g}});
  }
  const int dx = image("dx");
  const int dgamma = channels("dgamma"), dbeta = channels("dbeta");
  graph.nodes.push_back(
      {.operation = Operation::batch_norm_backward, .inputs = {g, x, gamma, mean, invstd}, .outputs = {dx, dgamma, dbeta}});
  return graph;
}

int64_t padded_channels(int64_t channels, DType dtype) {
  const int64_t multiple = dtype == DType::f16 ? 4 : dtype == DType::bf16 ? 8 : 1;
  return round_up(channels, multiple);
}

Graph padded_conv_graph(const ConvGeometry& geometry, DType dtype, ConvKey key) {
  ConvGeometry g = geometry;
  g.C = padded_channels(geometry.C, dtype);
  key.accumulate = key.accumulate && g.C == geometry.C;
  return conv_graph(g, dtype, key);
}

}  // namespace dura::cuda
