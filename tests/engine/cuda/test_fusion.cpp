// Fused graphs that compute something else than their parts: each pattern is found, said once, and computed in parts from then on. And
// products that a device's library has no algorithm for.
#include "tests/support/catch.h"

#include <cstdlib>
#include <optional>

#include "engine/cuda/sim/sim_driver.h"
#include "engine/devices/cuda_devices.h"
#include "engine/plan/meta_backend.h"
#include "tests/engine/op_harness.h"
#include "tests/support/log_lines.h"

namespace dura::cuda::simulated {
std::unique_ptr<Backend> make_backend(Driver& driver, Stream stream, std::shared_ptr<MemorySource> memory);
}

using namespace dura;
using namespace dura::optest;
using cuda::Graph;
using cuda::GraphNode;
using cuda::Operation;
using test::LogLines;

namespace {

// While it lives, the simulated device computes graphs as `misreading` leaves them, and a backend that has asked nothing yet is at hand.
struct Doubtful {
  explicit Doubtful(std::function<void(Graph&)> misreading) { driver.set_misreading(std::move(misreading)); }
  ~Doubtful() {
    driver.set_misreading({});
    driver.watch_graphs({});
  }
  bool fuses(const BatchNormOptions& options) const { return backend->batch_norm_space({2, 4, 4, 16}, DType::f16, options).mask > 0; }
  // The operations of the graphs that a convolution with this epilogue runs.
  std::vector<Operation> operations(const Epilogue& e) {
    const ConvGeometry g{.N = 1, .H = 4, .W = 4, .C = 8, .K = 8, .R = 1, .S = 1, .P = 4, .Q = 4};
    const auto tensor = [](const Shape& s) { return Tensor::zeros(s, DType::f16, Device::cuda_sim); };
    const Tensor workspace =
        Tensor::zeros({static_cast<int64_t>(backend->conv_workspace(g, DType::f16, key_of(e)))}, DType::u8, Device::cuda_sim);
    std::vector<Operation> ran;
    driver.watch_graphs([&](const Graph& graph) {
      for (const GraphNode& n : graph.nodes) ran.push_back(n.operation);
    });
    backend->conv_forward(g, tensor({1, 4, 4, 8}), {tensor({8, 1, 1, 8})}, e, workspace, tensor({1, 4, 4, 8}));
    driver.watch_graphs({});
    return ran;
  }

  cuda::sim::SimDriver& driver = cuda::sim::sim_driver();
  std::unique_ptr<Backend> backend =
      cuda::simulated::make_backend(driver, cuda::compute_stream(Device::cuda_sim), device_pool(Device::cuda_sim));
};

void replace(Graph& g, Operation from, const std::function<void(GraphNode&)>& change) {
  for (GraphNode& n : g.nodes)
    if (n.operation == from) change(n);
}

const Epilogue only_relu{{}, {}, {}, true};
const BatchNormOptions with_relu{.relu = true}, with_residual{.residual = true, .relu = true, .writes_g = true};

}  // namespace

TEST_CASE("fused graphs that compute what their parts do are trusted, each pattern compared once, also while a step is planned",
          "[cuda-sim][fusion]") {
  int graphs = 0;
  Doubtful device([](Graph&) {});
  device.driver.watch_graphs([&](const Graph&) { ++graphs; });
  const LogLines said;
  {
    const DryRun dry(Device::cuda_sim);
    CHECK(device.fuses(with_relu));
    CHECK(device.fuses(with_residual));
    CHECK(dry.memory_plan().lifetimes.empty());
  }
  CHECK(graphs == 4);
  CHECK(device.fuses(with_relu));
  CHECK(graphs == 4);
  CHECK(device.operations(only_relu) == std::vector{Operation::conv_forward, Operation::relu});
  CHECK(said.lines.empty());
}

TEST_CASE("a mask that says something else than y > 0 turns its pattern off, with one warning", "[cuda-sim][fusion]") {
  // As an engine would that compares with whatever lies where the zero should be.
  Doubtful device([](Graph& g) {
    replace(g, Operation::select, [](GraphNode& n) {
      n = {.operation = Operation::add, .inputs = {n.inputs[0], n.inputs[0]}, .outputs = n.outputs};
    });
  });
  const LogLines said;
  for (int i = 0; i < 2; ++i) {
    CHECK_FALSE(device.fuses(with_relu));
    CHECK_FALSE(device.fuses(with_residual));
    CHECK(device.backend->batch_norm_space({2, 4, 4, 16}, DType::f16, {}).forward_workspace > 0);  // has no mask: still a graph
  }
  REQUIRE(said.lines.size() == 2);
  CHECK_THAT(said.lines[0], Catch::Contains("cuDNN's graph batch_norm f16, relu, mask, engine 0, engine 0 is not trusted: dx differs by") &&
                                Catch::Contains("computed in parts"));
  CHECK_THAT(said.lines[1], Catch::Contains("+ residual, relu, mask, masked gradient"));
}

TEST_CASE("a convolution whose epilogue is wrong runs bare, with one warning for the pattern", "[cuda-sim][fusion]") {
  Doubtful device([](Graph& g) {
    replace(g, Operation::relu, [](GraphNode& n) {
      n = {.operation = Operation::add, .inputs = {n.inputs[0], n.inputs[0]}, .outputs = n.outputs};
    });
  });
  const LogLines said;
  for (int i = 0; i < 2; ++i) CHECK(device.operations(only_relu) == std::vector{Operation::conv_forward});
  REQUIRE(said.lines.size() == 1);
  CHECK_THAT(said.lines[0], Catch::Contains("convolution f16, relu") && Catch::Contains("y differs by"));
  const Tensor bias = Tensor::zeros({8}, DType::f32, Device::cuda_sim);
  CHECK(device.operations({{}, bias, {}, false}) == std::vector{Operation::conv_forward, Operation::add});
  CHECK(said.lines.size() == 1);
}

TEST_CASE("DURA_CUDA_FUSION=0 leaves cuDNN the bare convolutions", "[cuda-sim][fusion]") {
  const auto with_variable = [](const char* value) {
    setenv("DURA_CUDA_FUSION", value, 1);
    const std::unique_ptr<int, void (*)(int*)> unset(new int, [](int* p) { unsetenv("DURA_CUDA_FUSION"), delete p; });
    return std::make_unique<Doubtful>([](Graph&) {});
  };
  const auto off = with_variable("0");
  CHECK_FALSE(off->fuses(with_relu));
  CHECK(off->backend->batch_norm_space({2, 4, 4, 16}, DType::f16, {}).forward_workspace == 0);
  CHECK(off->operations(only_relu) == std::vector{Operation::conv_forward});
  CHECK(with_variable("1")->fuses(with_relu));
  CHECK_THROWS_WITH(with_variable("yes"), Catch::Contains("DURA_CUDA_FUSION is 'yes'"));
}

TEST_CASE("products without an algorithm of the device's library pass the op table", "[cuda-sim][ops]") {
  int refused = 0;
  cuda::sim::sim_driver().set_unsupported_products([&](const cuda::Product&) { return ++refused > 0; });
  std::vector<Column> columns;
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) columns.push_back({.device = Device::cuda_sim, .dtype = dtype});
  for (const OpCase& c : op_cases()) {
    if (c.name.rfind("linear", 0) != 0) continue;
    for (const std::string& f : check_columns(c, columns)) FAIL_CHECK(f);
    for (const Column& column : columns)
      for (const std::string& f : check_accumulation(c, column)) FAIL_CHECK(f);
  }
  cuda::sim::sim_driver().set_unsupported_products({});
  CHECK(refused > 20);
}
