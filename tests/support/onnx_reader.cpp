#include "tests/support/onnx_reader.h"

#include <cmath>
#include <cstring>
#include <functional>

#include "engine/base/check.h"

namespace dura::test {
namespace {

struct Field {
  int number = 0;
  uint64_t integer = 0;    // of a varint
  std::string_view bytes;  // of a length-delimited or 32-bit field
  bool is_integer = false;
};

uint64_t read_varint(std::string_view& bytes) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    DURA_CHECK(!bytes.empty(), "onnx: a number is cut off");
    const auto byte = static_cast<uint8_t>(bytes.front());
    bytes.remove_prefix(1);
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  fail("onnx: a number has more than ten bytes");
}

void for_fields(std::string_view message, const std::function<void(const Field&)>& visit) {
  while (!message.empty()) {
    const uint64_t tag = read_varint(message);
    Field field{.number = static_cast<int>(tag >> 3), .bytes = {}};
    const uint64_t kind = tag & 7;
    DURA_CHECK(kind == 0 || kind == 2 || kind == 5, "onnx: field ", field.number, " is of kind ", kind);
    if (kind == 0) {
      field.integer = read_varint(message), field.is_integer = true;
    } else {
      const uint64_t length = kind == 5 ? 4 : read_varint(message);
      DURA_CHECK(length <= message.size(), "onnx: field ", field.number, " reaches behind its message");
      field.bytes = message.substr(0, length);
      message.remove_prefix(length);
    }
    visit(field);
  }
}

[[noreturn]] void unknown(const char* message, const Field& field) { fail("onnx: ", message, " has field ", field.number); }

template <class T>
std::vector<double> numbers(std::string_view bytes) {
  std::vector<double> values(bytes.size() / sizeof(T));
  DURA_CHECK(bytes.size() % sizeof(T) == 0, "onnx: elements are cut off");
  for (size_t i = 0; i < values.size(); ++i) {
    T v;
    std::memcpy(&v, bytes.data() + i * sizeof(T), sizeof(T));
    values[i] = static_cast<double>(v);
  }
  return values;
}

size_t count_of(const std::vector<int64_t>& extents) {
  size_t n = 1;
  for (const int64_t e : extents) n *= static_cast<size_t>(e);
  return n;
}

std::pair<std::string, OnnxTensor> read_constant(std::string_view message) {
  std::string name;
  std::string_view raw;
  OnnxTensor t;
  for_fields(message, [&](const Field& f) {
    if (f.number == 1)
      t.extents.push_back(static_cast<int64_t>(f.integer));
    else if (f.number == 2)
      t.type = static_cast<int64_t>(f.integer);
    else if (f.number == 8)
      name = f.bytes;
    else if (f.number == 9)
      raw = f.bytes;
    else
      unknown("TensorProto", f);
  });
  DURA_CHECK(t.type == 1 || t.type == 7, "onnx: constant of type ", t.type);
  t.values = t.type == 1 ? numbers<float>(raw) : numbers<int64_t>(raw);
  DURA_CHECK(t.values.size() == count_of(t.extents), "onnx: ", name, " has ", t.values.size(), " elements");
  return {name, t};
}

OnnxNode read_node(std::string_view message) {
  OnnxNode node;
  for_fields(message, [&](const Field& f) {
    if (f.number == 1)
      node.inputs.emplace_back(f.bytes);
    else if (f.number == 2)
      node.outputs.emplace_back(f.bytes);
    else if (f.number == 3)
      node.name = f.bytes;
    else if (f.number == 4)
      node.op = f.bytes;
    else if (f.number == 5) {
      std::string name;
      OnnxAttribute a;
      int64_t type = 0;
      for_fields(f.bytes, [&](const Field& g) {
        if (g.number == 1)
          name = g.bytes;
        else if (g.number == 2)
          a.real = numbers<float>(g.bytes).at(0);
        else if (g.number == 3)
          a.integer = static_cast<int64_t>(g.integer);
        else if (g.number == 8)
          a.integers.push_back(static_cast<int64_t>(g.integer));
        else if (g.number == 20)
          type = static_cast<int64_t>(g.integer);
        else
          unknown("AttributeProto", g);
      });
      DURA_CHECK(type == (a.integers.empty() ? (a.real != 0 ? 1 : 2) : 7), "onnx: attribute ", name, " says type ", type);
      node.attributes[name] = a;
    } else
      unknown("NodeProto", f);
  });
  return node;
}

OnnxValue read_value(std::string_view message) {
  OnnxValue value;
  for_fields(message, [&](const Field& f) {
    if (f.number == 1)
      value.name = f.bytes;
    else if (f.number != 2)
      unknown("ValueInfoProto", f);
    else
      for_fields(f.bytes, [&](const Field& tensor) {
        if (tensor.number != 1) unknown("TypeProto", tensor);
        for_fields(tensor.bytes, [&](const Field& g) {
          if (g.number == 1)
            value.type = static_cast<int64_t>(g.integer);
          else if (g.number != 2)
            unknown("TypeProto.Tensor", g);
          else
            for_fields(g.bytes, [&](const Field& dimension) {
              for_fields(dimension.bytes,
                         [&](const Field& h) { value.extents.push_back(h.is_integer ? static_cast<int64_t>(h.integer) : -1); });
            });
        });
      });
  });
  return value;
}

void read_graph(std::string_view message, OnnxModel& model) {
  for_fields(message, [&](const Field& f) {
    if (f.number == 1)
      model.nodes.push_back(read_node(f.bytes));
    else if (f.number == 5)
      DURA_CHECK(model.constants.insert(read_constant(f.bytes)).second, "onnx: a constant exists twice");
    else if (f.number == 11)
      model.inputs.push_back(read_value(f.bytes));
    else if (f.number == 12)
      model.outputs.push_back(read_value(f.bytes));
    else if (f.number != 2)
      unknown("GraphProto", f);
  });
}

// ---- operators, as their descriptions have them; images are (N,C,H,W) ----

OnnxTensor each(const OnnxTensor& x, const std::function<double(double, size_t)>& f) {
  OnnxTensor y{.extents = x.extents, .values = x.values, .type = 1};
  for (size_t i = 0; i < y.values.size(); ++i) y.values[i] = f(x.values[i], i);
  return y;
}

// Of the same extents, or a vector along the last dimension.
OnnxTensor pairwise(const OnnxTensor& a, const OnnxTensor& b, const std::function<double(double, double)>& f) {
  DURA_CHECK(a.extents == b.extents || (b.extents.size() == 1 && a.extents.back() == b.extents[0]), "onnx: operands of other extents");
  return each(a, [&](double v, size_t i) { return f(v, b.values[i % b.values.size()]); });
}

// visit(output index, taken input indices' kernel place) over the windows of a pooling or convolution.
struct Windows {
  int64_t N, C, H, W, P, Q, R, S;
  std::vector<int64_t> strides, pads;
  Windows(const OnnxTensor& x, const OnnxNode& node, bool ceil)
      : N(x.extents.at(0)),
        C(x.extents.at(1)),
        H(x.extents.at(2)),
        W(x.extents.at(3)),
        R(node.integers("kernel_shape").at(0)),
        S(node.integers("kernel_shape").at(1)),
        strides(node.integers("strides")),
        pads(node.integers("pads")) {
    DURA_CHECK(strides.size() == 2 && pads.size() == 4, "onnx: ", node.name, " has ", strides.size(), " strides and ", pads.size(),
               " pads");
    const auto places = [&](int64_t extent, int64_t kernel, size_t d) {
      const int64_t free = extent + pads[d] + pads[d + 2] - kernel;
      return (ceil ? (free + strides[d] - 1) / strides[d] : free / strides[d]) + 1;
    };
    P = places(H, R, 0), Q = places(W, S, 1);
  }
  // use(input row, input column, r, s) for the places of window (p,q) that lie inside the image.
  template <class Use>
  void inside(int64_t p, int64_t q, const Use& use) const {
    for (int64_t r = 0; r < R; ++r)
      for (int64_t s = 0; s < S; ++s) {
        const int64_t h = p * strides[0] - pads[0] + r, w = q * strides[1] - pads[1] + s;
        if (h >= 0 && h < H && w >= 0 && w < W) use(h, w, r, s);
      }
  }
};

OnnxTensor convolution(const OnnxTensor& x, const OnnxTensor& filter, const OnnxNode& node) {
  const Windows o(x, node, false);
  const int64_t K = filter.extents.at(0);
  DURA_CHECK((filter.extents == std::vector<int64_t>{K, o.C, o.R, o.S}), "onnx: ", node.name, ": the filter does not fit");
  OnnxTensor y{.extents = {o.N, K, o.P, o.Q}, .values = {}, .type = 1};
  for (int64_t n = 0; n < o.N; ++n)
    for (int64_t k = 0; k < K; ++k)
      for (int64_t p = 0; p < o.P; ++p)
        for (int64_t q = 0; q < o.Q; ++q) {
          double sum = 0;
          o.inside(p, q, [&](int64_t h, int64_t w, int64_t r, int64_t s) {
            for (int64_t c = 0; c < o.C; ++c)
              sum += x.values[static_cast<size_t>(((n * o.C + c) * o.H + h) * o.W + w)] *
                     filter.values[static_cast<size_t>(((k * o.C + c) * o.R + r) * o.S + s)];
          });
          y.values.push_back(sum);
        }
  return y;
}

OnnxTensor max_pool(const OnnxTensor& x, const OnnxNode& node) {
  const Windows o(x, node, node.integer("ceil_mode") != 0);
  OnnxTensor y{.extents = {o.N, o.C, o.P, o.Q}, .values = {}, .type = 1};
  for (int64_t nc = 0; nc < o.N * o.C; ++nc)
    for (int64_t p = 0; p < o.P; ++p)
      for (int64_t q = 0; q < o.Q; ++q) {
        double most = -INFINITY;
        o.inside(p, q, [&](int64_t h, int64_t w, int64_t, int64_t) {
          most = std::fmax(most, x.values[static_cast<size_t>((nc * o.H + h) * o.W + w)]);
        });
        y.values.push_back(most);
      }
  return y;
}

OnnxTensor transposed(const OnnxTensor& x, const std::vector<int64_t>& perm) {
  DURA_CHECK((perm == std::vector<int64_t>{0, 3, 1, 2}), "onnx: an unexpected permutation");
  const int64_t N = x.extents.at(0), H = x.extents.at(1), W = x.extents.at(2), C = x.extents.at(3);
  OnnxTensor y{.extents = {N, C, H, W}, .values = {}, .type = x.type};
  for (int64_t n = 0; n < N; ++n)
    for (int64_t c = 0; c < C; ++c)
      for (int64_t i = 0; i < H * W; ++i) y.values.push_back(x.values[static_cast<size_t>((n * H * W + i) * C + c)]);
  return y;
}

OnnxTensor softmax(const OnnxTensor& x) {
  const auto classes = static_cast<size_t>(x.extents.at(1));
  std::vector<double> sums(x.values.size() / classes);
  for (size_t i = 0; i < x.values.size(); ++i) sums[i / classes] += std::exp(x.values[i]);
  return each(x, [&](double v, size_t i) { return std::exp(v) / sums[i / classes]; });
}

OnnxTensor compute(const OnnxNode& node, const std::vector<const OnnxTensor*>& in) {
  const OnnxTensor& x = *in.at(0);
  if (node.op == "Cast") return each(x, [](double v, size_t) { return v; });
  if (node.op == "Relu") return each(x, [](double v, size_t) { return std::fmax(v, 0); });
  if (node.op == "Sub") return pairwise(x, *in.at(1), std::minus<>());
  if (node.op == "Div") return pairwise(x, *in.at(1), std::divides<>());
  if (node.op == "Add") return pairwise(x, *in.at(1), std::plus<>());
  if (node.op == "Transpose") return transposed(x, node.integers("perm"));
  if (node.op == "Conv") return convolution(x, *in.at(1), node);
  if (node.op == "MaxPool") return max_pool(x, node);
  if (node.op == "Softmax" && node.integer("axis") == 1) return softmax(x);
  if (node.op == "Gather" && node.integer("axis") == 3) {
    const std::vector<double>& order = in.at(1)->values;
    DURA_CHECK(static_cast<int64_t>(order.size()) == x.extents.at(3), "onnx: ", node.name, " gathers ", order.size(), " channels");
    const size_t C = order.size();
    return each(x, [&](double, size_t i) { return x.values[i / C * C + static_cast<size_t>(order[i % C])]; });
  }
  if (node.op == "BatchNormalization") {
    const auto C = static_cast<size_t>(x.extents.at(1)), pixels = static_cast<size_t>(x.extents.at(2) * x.extents.at(3));
    for (size_t k = 1; k < 5; ++k)
      DURA_CHECK((in.at(k)->extents == std::vector<int64_t>{x.extents[1]}), "onnx: ", node.name, " has another number of channels");
    return each(x, [&](double v, size_t i) {
      const size_t c = i / pixels % C;
      return (v - in[3]->values[c]) / std::sqrt(in[4]->values[c] + node.attributes.at("epsilon").real) * in[1]->values[c] +
             in[2]->values[c];
    });
  }
  if (node.op == "GlobalAveragePool") {
    const auto pixels = static_cast<size_t>(x.extents.at(2) * x.extents.at(3));
    OnnxTensor y{.extents = {x.extents[0], x.extents[1], 1, 1}, .values = std::vector<double>(x.values.size() / pixels), .type = 1};
    for (size_t i = 0; i < x.values.size(); ++i) y.values[i / pixels] += x.values[i] / static_cast<double>(pixels);
    return y;
  }
  if (node.op == "Flatten" && node.integer("axis") == 1)
    return {.extents = {x.extents.at(0), static_cast<int64_t>(x.values.size()) / x.extents[0]}, .values = x.values, .type = x.type};
  if (node.op == "Gemm" && node.integer("transB") == 1) {
    const int64_t N = x.extents.at(0), C = x.extents.at(1), K = in.at(1)->extents.at(0);
    DURA_CHECK((in[1]->extents == std::vector<int64_t>{K, C}) && (in.at(2)->extents == std::vector<int64_t>{K}), "onnx: Gemm does not fit");
    OnnxTensor y{.extents = {N, K}, .values = {}, .type = 1};
    for (int64_t n = 0; n < N; ++n)
      for (int64_t k = 0; k < K; ++k) {
        double sum = in[2]->values[static_cast<size_t>(k)];
        for (int64_t c = 0; c < C; ++c) sum += x.values[static_cast<size_t>(n * C + c)] * in[1]->values[static_cast<size_t>(k * C + c)];
        y.values.push_back(sum);
      }
    return y;
  }
  fail("onnx: ", node.name, " is ", node.op, ", which dura does not write");
}

}  // namespace

OnnxModel read_onnx(std::string_view bytes) {
  OnnxModel model;
  for_fields(bytes, [&](const Field& f) {
    if (f.number == 1)
      model.format_version = static_cast<int64_t>(f.integer);
    else if (f.number == 7)
      read_graph(f.bytes, model);
    else if (f.number == 8)
      for_fields(f.bytes, [&](const Field& g) {
        if (g.number == 2) model.operator_set = static_cast<int64_t>(g.integer);
      });
    else if (f.number == 14) {
      std::string key, value;
      for_fields(f.bytes, [&](const Field& g) { (g.number == 1 ? key : value) = g.bytes; });
      model.metadata[key] = value;
    } else if (f.number != 2)
      unknown("ModelProto", f);
  });
  return model;
}

std::map<std::string, OnnxTensor> OnnxModel::run(const OnnxTensor& input) const {
  const OnnxValue& declared = inputs.at(0);
  DURA_CHECK(inputs.size() == 1 && input.type == declared.type && input.extents.size() == declared.extents.size(),
             "onnx: another input is declared");
  for (size_t d = 0; d < input.extents.size(); ++d)
    DURA_CHECK(declared.extents[d] == -1 || declared.extents[d] == input.extents[d], "onnx: extent ", d, " of the input is declared as ",
               declared.extents[d]);
  std::map<std::string, OnnxTensor> values = {{declared.name, input}};
  for (const OnnxNode& node : nodes) {
    std::vector<const OnnxTensor*> in;
    for (const std::string& name : node.inputs) {
      const auto constant = constants.find(name);
      const auto value = values.find(name);
      DURA_CHECK(constant != constants.end() || value != values.end(), "onnx: ", node.name, " reads ", name, ", which is not there yet");
      in.push_back(constant != constants.end() ? &constant->second : &value->second);
    }
    DURA_CHECK(node.outputs.size() == 1, "onnx: ", node.name, " has ", node.outputs.size(), " outputs");
    DURA_CHECK(values.emplace(node.outputs[0], compute(node, in)).second, "onnx: ", node.outputs[0], " is made twice");
  }
  return values;
}

}  // namespace dura::test
