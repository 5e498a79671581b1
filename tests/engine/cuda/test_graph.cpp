// The plain descriptions of cuDNN's graphs: what each of dura's graphs holds, that equal graphs are equal as keys, and that a broken one is
// named.
#include "tests/support/catch.h"

#include <set>
#include <string>
#include <vector>

#include "engine/cuda/graph.h"

using namespace dura;
using namespace dura::cuda;

namespace {

const ConvGeometry strided{.N = 2, .H = 15, .W = 13, .C = 16, .K = 24, .R = 3, .S = 3, .P = 8, .Q = 7, .stride = 2, .padding = 1};

// Names of the tensors that reach memory, in order.
std::vector<std::string> real_tensors(const Graph& g) {
  std::vector<std::string> names;
  for (const GraphTensor& t : g.tensors)
    if (!t.is_virtual) names.push_back(t.name);
  return names;
}

std::vector<Operation> operations(const Graph& g) {
  std::vector<Operation> all;
  for (const GraphNode& n : g.nodes) all.push_back(n.operation);
  return all;
}

const GraphTensor& tensor(const Graph& g, const std::string& name) {
  for (const GraphTensor& t : g.tensors)
    if (t.name == name) return t;
  fail("no tensor ", name);
}

std::vector<Graph> all_graphs() {
  std::vector<Graph> all;
  for (DType dtype : {DType::f16, DType::bf16, DType::f32}) {
    for (int parts = 0; parts < 8; ++parts)
      all.push_back(conv_graph(strided, dtype, {.bias = (parts & 2) != 0, .residual = (parts & 1) != 0, .relu = (parts & 4) != 0}));
    for (bool accumulate : {false, true}) {
      all.push_back(conv_graph(strided, dtype, {.pass = ConvPass::backward_data, .accumulate = accumulate}));
      all.push_back(conv_graph(strided, dtype, {.pass = ConvPass::backward_filter, .accumulate = accumulate}));
    }
    const Shape x{2, 8, 7, 24};
    for (int parts = 0; parts < 4; ++parts)
      all.push_back(batch_norm_training_graph(x, dtype, {.residual = (parts & 1) != 0, .relu = (parts & 2) != 0}));
    all.push_back(batch_norm_backward_graph(x, dtype, {}));
    all.push_back(batch_norm_backward_graph(x, dtype, {.relu = true}));
    all.push_back(batch_norm_backward_graph(x, dtype, {.relu = true, .writes_g = true}));
  }
  return all;
}

std::string message_of(const Graph& g) {
  try {
    check_graph(g);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("every graph that dura emits is well formed, and no two kinds are equal", "[cuda]") {
  const std::vector<Graph> all = all_graphs();
  std::set<std::string> texts;
  for (const Graph& g : all) {
    INFO(describe(g));
    CHECK_NOTHROW(check_graph(g));
    texts.insert(describe(g));
  }
  CHECK(texts.size() == all.size());
  std::set<size_t> hashes;
  for (size_t i = 0; i < all.size(); ++i) {
    hashes.insert(GraphHash()(all[i]));
    for (size_t k = 0; k < all.size(); ++k) CHECK((all[i] == all[k]) == (i == k));
  }
  CHECK(hashes.size() == all.size());
}

TEST_CASE("a graph made twice is one key, and TF32 and epsilon are part of it", "[cuda]") {
  const Graph a = conv_graph(strided, DType::f32, {.relu = true});
  Graph b = conv_graph(strided, DType::f32, {.relu = true});
  CHECK(a == b);
  CHECK(GraphHash()(a) == GraphHash()(b));
  b.tf32 = true;
  CHECK_FALSE(a == b);
  CHECK(GraphHash()(a) != GraphHash()(b));
  const Shape x{2, 8, 7, 24};
  const Graph c = batch_norm_training_graph(x, DType::f16, {.eps = 1e-5}), d = batch_norm_training_graph(x, DType::f16, {.eps = 1e-3});
  CHECK_FALSE(c == d);
  CHECK(GraphHash()(c) != GraphHash()(d));
}

TEST_CASE("the inference graph adds the residual, then the bias, then takes the ReLU, all sums virtual in f32", "[cuda]") {
  const Graph g = conv_graph(strided, DType::f16, {.bias = true, .residual = true, .relu = true});
  CHECK(operations(g) == std::vector{Operation::conv_forward, Operation::add, Operation::add, Operation::relu});
  CHECK(real_tensors(g) == std::vector<std::string>{"x", "w", "residual", "bias", "y"});
  CHECK(tensor(g, "bias").dtype == DType::f16);
  for (const GraphTensor& t : g.tensors) CHECK((!t.is_virtual || t.dtype == DType::f32));
  // NHWC in memory, cuDNN's order in the description.
  CHECK(tensor(g, "x").extents == std::array<int64_t, 4>{2, 16, 15, 13});
  CHECK(tensor(g, "x").strides == std::array<int64_t, 4>{15 * 13 * 16, 1, 13 * 16, 16});
  CHECK(tensor(g, "w").extents == std::array<int64_t, 4>{24, 16, 3, 3});
  CHECK(tensor(g, "w").strides == std::array<int64_t, 4>{3 * 3 * 16, 1, 3 * 16, 16});
  // Alone, the convolution writes y itself.
  CHECK(real_tensors(conv_graph(strided, DType::f16, {})) == std::vector<std::string>{"x", "w", "y"});
}

TEST_CASE("BatchNorm's graphs: statistics in f32, a mask of bits of the ReLU's output, the masked gradient on demand", "[cuda]") {
  const Shape x{2, 8, 7, 24};
  const Graph forward = batch_norm_training_graph(x, DType::f16, {.residual = true, .relu = true});
  CHECK(operations(forward) == std::vector{Operation::batch_norm_training, Operation::add, Operation::relu, Operation::greater_than_zero});
  CHECK(real_tensors(forward) == std::vector<std::string>{"x", "gamma", "beta", "residual", "y", "mask", "mean", "invstd"});
  CHECK(tensor(forward, "gamma").dtype == DType::f32);
  CHECK(tensor(forward, "mask").bytes() == 2 * 8 * 7 * 24 / 8);
  CHECK(forward.tensors[static_cast<size_t>(forward.nodes.back().inputs[0])].name == "y");

  const Graph hidden = batch_norm_backward_graph(x, DType::f16, {.relu = true}),
              written = batch_norm_backward_graph(x, DType::f16, {.relu = true, .writes_g = true});
  CHECK(real_tensors(hidden) == std::vector<std::string>{"dy", "mask", "x", "gamma", "mean", "invstd", "dx", "dgamma", "dbeta"});
  CHECK(real_tensors(written) == std::vector<std::string>{"dy", "mask", "x", "gamma", "mean", "invstd", "g", "dx", "dgamma", "dbeta"});
  CHECK(tensor(hidden, "g").dtype == DType::f16);
  CHECK_THROWS_WITH(batch_norm_backward_graph(x, DType::f16, {.writes_g = true}), Catch::Contains("nothing to write"));
}

TEST_CASE("a convolution's channels are padded to what engines load, and the gradients of padded channels are not added to", "[cuda]") {
  ConvGeometry stem{.N = 2, .H = 16, .W = 16, .C = 3, .K = 64, .R = 7, .S = 7, .P = 8, .Q = 8, .stride = 2, .padding = 3};
  CHECK(tensor(padded_conv_graph(stem, DType::f16, {}), "x").extents[1] == 4);
  CHECK(tensor(padded_conv_graph(stem, DType::f16, {}), "w").extents[1] == 4);
  CHECK(tensor(padded_conv_graph(stem, DType::bf16, {}), "x").extents[1] == 8);
  CHECK(tensor(padded_conv_graph(stem, DType::f32, {}), "x").extents[1] == 3);
  const ConvKey added{.pass = ConvPass::backward_filter, .accumulate = true};
  CHECK_FALSE(padded_conv_graph(stem, DType::f16, added).nodes[0].accumulate);
  stem.C = 16;
  CHECK(padded_conv_graph(stem, DType::f16, added).nodes[0].accumulate);
  CHECK(padded_conv_graph(stem, DType::bf16, added) ==
        conv_graph(stem, DType::bf16, {.pass = ConvPass::backward_filter, .accumulate = true}));
}

TEST_CASE("a broken graph is refused with its name and the tensor", "[cuda]") {
  Graph g = conv_graph(strided, DType::f32, {.residual = true});
  SECTION("extents that do not fit the stride") {
    g.tensors[0].extents[2] = 17;
    CHECK_THAT(message_of(g), Catch::Contains("conv_forward f32") && Catch::Contains("do not fit with stride 2"));
  }
  SECTION("a virtual tensor read before it is computed") {
    std::swap(g.nodes[0], g.nodes[1]);
    CHECK_THAT(message_of(g), Catch::Contains("virtual tensor conv is read before"));
  }
  SECTION("an index outside") {
    g.nodes[1].inputs[1] = 9;
    CHECK_THAT(message_of(g), Catch::Contains("tensor 9 of 5"));
  }
  SECTION("a missing input") {
    g.nodes[1].inputs.pop_back();
    CHECK_THAT(message_of(g), Catch::Contains("add: 1 inputs and 1 outputs, expected 2 and 1"));
  }
  SECTION("a tensor that nothing uses") {
    g.add_tensor(channel_tensor("stray", 24, DType::f32));
    CHECK_THAT(message_of(g), Catch::Contains("no operation reads or computes stray"));
  }
  SECTION("one result written twice") {
    g.nodes[0].outputs[0] = g.nodes[1].outputs[0];
    g.nodes[1].inputs[0] = 0;
    CHECK_THAT(message_of(g), Catch::Contains("y is computed twice"));
  }
  SECTION("a mask of whole bytes") {
    Graph b = batch_norm_backward_graph({2, 8, 7, 24}, DType::f16, {.relu = true});
    b.tensors[1].bits = false;
    CHECK_THAT(message_of(b), Catch::Contains("mask (2,24,8,7) is no mask of dy"));
  }
  SECTION("a gamma of the wrong length") {
    Graph b = batch_norm_training_graph({2, 8, 7, 24}, DType::f16, {});
    b.tensors[1].extents[1] = 25;
    CHECK_THAT(message_of(b), Catch::Contains("gamma (1,25,1,1) does not have one value for each of 24 channels"));
  }
}
