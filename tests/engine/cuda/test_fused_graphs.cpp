// Which graphs the CUDA backend hands to cuDNN, and that it does the same where there is no engine for them: BatchNorm with residual, ReLU
// and mask against the kernels it is put together from elsewhere, epilogues and sums against kernels behind the bare convolution. The
// simulated device pretends to have no engine.
#include "tests/support/catch.h"

#include <cmath>
#include <limits>
#include <optional>
#include <set>

#include "engine/cuda/sim/sim_driver.h"
#include "tests/support/cuda_under_test.h"
#include "tests/engine/op_harness.h"
#include "tests/support/resnet50_passes.h"

using namespace dura;
using namespace dura::optest;
using cuda::Graph;
using cuda::Operation;
using test::cuda_under_test;

namespace {

bool has_batch_norm(const Graph& g) {
  for (const cuda::GraphNode& n : g.nodes)
    if (n.operation == Operation::batch_norm_training || n.operation == Operation::batch_norm_backward) return true;
  return false;
}

// While it lives, the simulated device has no engine for some graphs, and every graph that runs is written down.
class Watch {
 public:
  explicit Watch(std::function<bool(const Graph&)> unsupported = {}) {
    driver_.set_unsupported(std::move(unsupported));
    driver_.watch_graphs([this](const Graph& g) { graphs.push_back(g); });
  }
  ~Watch() {
    driver_.set_unsupported({});
    driver_.watch_graphs({});
  }
  std::vector<Graph> graphs;

 private:
  cuda::sim::SimDriver& driver_ = cuda::sim::sim_driver();
};

Array random_array(const Shape& s, uint64_t key, double offset = 0) {
  Array a(s);
  Random r(key);
  for (double& x : a.v) x = offset + 0.5 * r.normal();
  return a;
}

struct Unit {
  int64_t channels = 8;
  bool residual = false, relu = true, unbiased = true;
};

// Forward and backward of one unit with batch statistics: everything that it gives and changes.
std::map<std::string, Array> run_unit(const Unit& u, DType dtype) {
  const Column column{.device = Device::cuda_sim, .dtype = dtype};
  const int64_t K = u.channels, C = 8;
  const Shape out({2, 5, 3, K});
  const auto leaf = [](const Tensor& t) { return Var::leaf(t); };
  const Var x = leaf(column.tensor(random_array({2, 5, 3, C}, 1))), w = leaf(column.tensor(random_array({K, 1, 1, C}, 2))),
            gamma = leaf(column.stat_tensor(random_array({K}, 3, 1))), beta = leaf(column.stat_tensor(random_array({K}, 4))),
            residual = u.residual ? leaf(column.tensor(random_array(out, 5))) : Var();
  const Tensor running_mean = column.stat_tensor(random_array({K}, 6)), running_variance = column.stat_tensor(random_array({K}, 7, 2));
  Tape tape;
  const Var y = conv_bn_act(x, w, {},
                            {.gamma = gamma,
                             .beta = beta,
                             .running_mean = running_mean,
                             .running_variance = running_variance,
                             .eps = 1e-3,
                             .momentum = 0.25,
                             .unbiased_running = u.unbiased,
                             .mode = BatchNormMode::batch_statistics},
                            residual, u.relu);
  tape.backward(y, column.tensor(random_array(out, 8)));
  std::map<std::string, Array> all{{"y", to_array(y.value())},
                                   {"dx", to_array(x.grad())},
                                   {"dw", to_array(w.grad())},
                                   {"dgamma", to_array(gamma.grad())},
                                   {"dbeta", to_array(beta.grad())},
                                   {"running mean", to_array(running_mean)},
                                   {"running variance", to_array(running_variance)}};
  if (u.residual) all["dresidual"] = to_array(residual.grad());
  return all;
}

}  // namespace

TEST_CASE("conv_bn_act by fused BatchNorm graphs equals the composed kernels, at odd and at ResNet-50's channel counts",
          "[cuda-sim][graph]") {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16})
    for (const int64_t channels : {13, 64, 256, 512, 1024, 2048})
      for (const Unit u : {Unit{channels}, Unit{channels, true}, Unit{channels, false, false}, Unit{channels, true, true, false}}) {
        const Watch fused;
        const auto found = run_unit(u, dtype);
        CHECK(std::count_if(fused.graphs.begin(), fused.graphs.end(), has_batch_norm) == 2);
        const Watch composed(has_batch_norm);
        const auto expected = run_unit(u, dtype);
        CHECK(std::none_of(composed.graphs.begin(), composed.graphs.end(), has_batch_norm));
        for (const auto& [what, values] : expected) {
          const std::string wrong = compare(found.at(what), values, Accuracy::product, {.device = Device::cuda_sim, .dtype = dtype}, 4);
          INFO(dtype_name(dtype) << " " << channels << " channels" << (u.residual ? " residual " : " ") << what << ": " << wrong);
          CHECK(wrong.empty());
        }
      }
}

TEST_CASE(
    "a convolution with folded BatchNorm, residual and ReLU in one graph equals the bare one and a kernel behind it, at odd and at "
    "ResNet-50's channel counts",
    "[cuda-sim][graph]") {
  const auto has_epilogue = [](const Graph& g) { return g.nodes.size() > 1; };
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16})
    for (const int64_t channels : {13, 64, 128, 256, 512, 1024, 2048})
      for (const bool with_residual : {false, true})
        for (const bool relu : {false, true}) {
          const Column column{.device = Device::cuda_sim, .dtype = dtype};
          const auto values = [&](uint64_t key, double offset) { return column.stat_tensor(random_array({channels}, key, offset)); };
          const Var x(column.tensor(random_array({2, 5, 3, 8}, 1))), w(column.tensor(random_array({channels, 1, 1, 8}, 2)));
          const Var residual = with_residual ? Var(column.tensor(random_array({2, 5, 3, channels}, 3))) : Var();
          const BatchNormArgs stored{.gamma = Var(values(4, 1)),
                                     .beta = Var(values(5, 0)),
                                     .running_mean = values(6, 0),
                                     .running_variance = values(7, 3),
                                     .mode = BatchNormMode::stored_statistics};
          const auto result = [&] { return to_array(conv_bn_act(x, w, {}, stored, residual, relu).value()); };
          const Watch fused;
          const Array found = result();
          CHECK(fused.graphs.size() == 1);
          CHECK(fused.graphs.at(0).nodes.size() == size_t{2} + with_residual + relu);
          const Watch composed(has_epilogue);
          const Array expected = result();
          CHECK(std::none_of(composed.graphs.begin(), composed.graphs.end(), has_epilogue));
          // The composed form rounds the convolution's output, the fused one the bias.
          const std::string wrong = compare(found, expected, Accuracy::product, column, 4);
          INFO(dtype_name(dtype) << " " << channels << " channels" << (with_residual ? " residual" : "") << (relu ? " relu" : "") << ": "
                                 << wrong);
          CHECK(wrong.empty());
        }
}

TEST_CASE("what is not a number stays so through convolution, BatchNorm and ReLU on the CUDA backend, fused or not", "[cuda-sim][graph]") {
  // An overflow of f16 should reach the loss, where it is noticed; a ReLU that makes zero of it hides it. What a card's library does is its
  // own affair, and only reported: there statistics and loss tell of an overflow.
  const auto more_than_bare = [](const Graph& g) { return g.nodes.size() > 1; };
  const bool may_pretend = cuda_under_test() == Device::cuda_sim;
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16})
    for (const BatchNormMode mode : {BatchNormMode::stored_statistics, BatchNormMode::batch_statistics})
      for (const bool fused : {true, false}) {
        if (!fused && !may_pretend) continue;
        CAPTURE(dtype_name(dtype), mode == BatchNormMode::batch_statistics, fused);
        const Column column{.device = cuda_under_test(), .dtype = dtype};
        const auto values = [&](uint64_t key, double offset) { return column.stat_tensor(random_array({16}, key, offset)); };
        Array image = random_array({1, 4, 4, 8}, 1);
        image.v[0] = std::numeric_limits<double>::quiet_NaN();  // of the first pixel, which a 1x1 convolution keeps apart from others
        const std::optional<Watch> composed = fused ? std::nullopt : std::make_optional<Watch>(more_than_bare);
        const Var y = conv_bn_act(Var(column.tensor(image)), Var(column.tensor(random_array({16, 1, 1, 8}, 2))), {},
                                  {.gamma = Var(values(4, 1)),
                                   .beta = Var(values(5, 0)),
                                   .running_mean = values(6, 0),
                                   .running_variance = values(7, 3),
                                   .mode = mode});
        const Array found = to_array(y.value());
        const size_t reached = mode == BatchNormMode::stored_statistics ? 16 : found.v.size();
        const bool stays =
            std::all_of(found.v.begin(), found.v.begin() + static_cast<int64_t>(reached), [](double v) { return std::isnan(v); });
        if (may_pretend)
          CHECK(stays);
        else
          WARN(dtype_name(dtype) << (mode == BatchNormMode::batch_statistics ? ", batch statistics" : ", stored statistics")
                                 << ": what is not a number " << (stays ? "stays so" : "becomes a number") << " behind this card's ReLU");
      }
}

TEST_CASE("where only the backward graph is missing, forward leaves no mask that nobody could read", "[cuda-sim][graph]") {
  const auto no_backward = [](const Graph& g) { return g.nodes.back().operation == Operation::batch_norm_backward; };
  const Watch watch(no_backward);
  run_unit({.channels = 16, .residual = true}, DType::f16);
  CHECK(std::none_of(watch.graphs.begin(), watch.graphs.end(), has_batch_norm));
}

TEST_CASE("convolutions without engines for epilogues, sums and BatchNorm pass the op table", "[cuda-sim][graph][ops]") {
  const auto more_than_bare = [](const Graph& g) { return g.nodes.size() > 1 || g.nodes[0].accumulate || has_batch_norm(g); };
  const Watch watch(more_than_bare);
  std::vector<Column> columns;
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) columns.push_back({.device = Device::cuda_sim, .dtype = dtype});
  for (const OpCase& c : op_cases()) {
    if (c.name.rfind("conv", 0) != 0) continue;
    for (const std::string& f : check_columns(c, columns)) FAIL_CHECK(f);
    for (const Column& column : columns)
      for (const std::string& f : check_accumulation(c, column)) FAIL_CHECK(f);
  }
  CHECK(watch.graphs.size() > 100);
  CHECK(std::none_of(watch.graphs.begin(), watch.graphs.end(), more_than_bare));
}

TEST_CASE("the graphs that ResNet-50 runs are those of its dry run, which the check of plans gets", "[cuda-sim][graph][models]") {
  constexpr int64_t batch = 1, size = 32;
  std::map<std::string, std::set<std::string>> listed;
  ResNet50Passes(DType::f16, Device::meta, batch, size).each([&](const std::string& trained, const std::function<void()>& pass) {
    const DryRun dry(Device::meta);
    pass();
    const cuda::GraphList list = cuda::graphs_of(dry.calls(), false);
    for (const Graph& g : list.convolutions) listed[trained].insert(describe(g));
    for (const Graph& g : list.batch_norms) listed[trained].insert(describe(g));
  });
  ResNet50Passes(DType::f16, Device::cuda_sim, batch, size).each([&](const std::string& trained, const std::function<void()>& pass) {
    const Watch watch;
    pass();
    std::set<std::string> ran;
    for (const Graph& g : watch.graphs) ran.insert(describe(g));
    CHECK(ran == listed.at(trained));
    CHECK(ran.size() > 20);
    CHECK(std::any_of(watch.graphs.begin(), watch.graphs.end(), has_batch_norm) == (trained == "all"));
  });
}

TEST_CASE("TF32 rounds the factors of f32 products where it is allowed, and only there", "[cuda-sim][graph]") {
  const Column column{.device = Device::cuda_sim, .dtype = DType::f32};
  const Array x = random_array({2, 6, 5, 8}, 1), w = random_array({16, 3, 3, 8}, 2), a = random_array({4, 32}, 3),
              b = random_array({3, 32}, 4);
  const auto results = [&] {
    return std::pair(to_array(conv2d(Var(column.tensor(x)), Var(column.tensor(w)), {.stride = 1, .padding = 1}).value()),
                     to_array(linear(Var(column.tensor(a)), Var(column.tensor(b)), Var(column.tensor(random_array({3}, 5)))).value()));
  };
  const auto distance = [](const Array& found, const Array& exact) {
    double error = 0, square = 0;
    for (int64_t i = 0; i < exact.numel(); ++i) error += (found[i] - exact[i]) * (found[i] - exact[i]), square += exact[i] * exact[i];
    return error / square;
  };
  const auto exact = results();
  device_backend(Device::cuda_sim).allow_tf32(true);
  const auto rounded = results();
  device_backend(Device::cuda_sim).allow_tf32(false);
  const auto again = results();
  CHECK(again.first.v == exact.first.v);
  CHECK(again.second.v == exact.second.v);
  for (const double d : {distance(rounded.first, exact.first), distance(rounded.second, exact.second)}) {
    CHECK(d > 1e-9);  // f32 itself stays below 1e-11
    CHECK(d < 5e-7);
  }
}
