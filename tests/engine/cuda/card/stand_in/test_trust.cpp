// Fused graphs of cuDNN's are trusted for each engine by itself: the one that small graphs get says nothing about the one that training
// gets.
#include <algorithm>

#include "engine/devices/cuda_devices.h"
#include "tests/engine/cuda/card/stand_in/faultless.h"
#include "tests/support/log_lines.h"

namespace dura::cuda::card {
std::unique_ptr<Backend> make_backend(Driver& driver, Stream stream, std::shared_ptr<MemorySource> memory);
}

using namespace dura;
using Catch::Contains;
using cuda::Graph;
using cuda::Operation;
using test::LogLines;
namespace stand_in = cuda::stand_in;

namespace {

constexpr int64_t side = 8, many = 64, few = 4;

// Engine 4 takes graphs of a few images alone and 5 takes all; what 5 computes of a fused graph is wrong where `wrong`. A backend that has
// asked nothing yet is at hand; `channels` make graphs that no other test has.
struct TwoEngines {
  TwoEngines(int64_t channels_of_graphs, bool wrong) : channels(channels_of_graphs) {
    stand_in::refusing_engine() = [](const Graph& g, int64_t engine) { return engine == 4 && images_of(g) > few; };
    stand_in::misreading_engine() = [wrong](Graph& g, int64_t engine) {
      if (!wrong || engine != 5) return;
      for (cuda::GraphNode& n : g.nodes)
        if (n.operation == Operation::relu) n = {.operation = Operation::add, .inputs = {n.inputs[0], n.inputs[0]}, .outputs = n.outputs};
    };
    stand_in::engines().clear();
  }
  ~TwoEngines() {
    stand_in::refusing_engine() = {}, stand_in::misreading_engine() = {};
    stand_in::engines().clear();
  }
  static int64_t images_of(const Graph& g) { return g.tensors[0].extents[0]; }

  bool fuses(int64_t images) const {
    return backend->batch_norm_space({images, side, side, channels}, DType::f16, {.relu = true}).mask > 0;
  }
  // How many operations the graph of a convolution with a ReLU has.
  size_t operations(int64_t images) const {
    const ConvGeometry g{.N = images, .H = side, .W = side, .C = channels, .K = channels, .R = 1, .S = 1, .P = side, .Q = side};
    const auto zeros = [](const Shape& s, DType type = DType::f16) { return Tensor::zeros(s, type, Device::cuda); };
    const Epilogue relu{{}, {}, {}, true};
    const Tensor workspace = zeros({static_cast<int64_t>(backend->conv_workspace(g, DType::f16, key_of(relu)))}, DType::u8),
                 x = zeros({images, side, side, channels}), y = zeros({images, side, side, channels});
    stand_in::engines().clear();
    backend->conv_forward(g, x, {zeros({channels, 1, 1, channels})}, relu, workspace, y);
    const std::string ran = stand_in::engines().begin()->first;
    return static_cast<size_t>(std::count(ran.begin(), ran.end(), '='));
  }
  // With how many images graphs were run, and by which engines.
  static bool ran(int64_t images, int64_t engine) {
    const auto& all = stand_in::engines();
    return std::any_of(all.begin(), all.end(), [&](const auto& run) {
      return run.second == engine && run.first.find(concat("tensor 1: f16 (", images, ",")) != std::string::npos;
    });
  }

  int64_t channels;
  std::unique_ptr<Backend> backend =
      cuda::card::make_backend(cuda::driver_of(Device::cuda), cuda::compute_stream(Device::cuda), device_pool(Device::cuda));
};

}  // namespace

TEST_CASE("an engine that is wrong loses its graphs, and the one that small graphs get keeps them", "[card][trust]") {
  const stand_in::Faultless faultless;
  const TwoEngines device(24, true);
  const LogLines said;
  for (int i = 0; i < 2; ++i) {
    CHECK(device.fuses(few));
    CHECK(device.operations(few) == 2);
    CHECK_FALSE(device.fuses(many));
    CHECK(device.operations(many) == 1);
  }
  REQUIRE(said.lines.size() == 2);
  CHECK_THAT(said.lines[0], Contains("batch_norm f16, relu, mask, engine 5, engine 5 is not trusted: ") && Contains("in parts"));
  CHECK_THAT(said.lines[1], Contains("convolution f16, relu, engine 5 is not trusted: y differs by"));
}

TEST_CASE("the engine of a large graph is compared on a few of its images", "[card][trust]") {
  const stand_in::Faultless faultless;
  const TwoEngines device(40, false);
  const LogLines said;
  CHECK(device.fuses(many));
  CHECK(TwoEngines::ran(2, 5));
  CHECK_FALSE(TwoEngines::ran(many, 5));
  CHECK(device.operations(many) == 2);
  CHECK(said.lines.empty());
}

TEST_CASE("an engine that does not take few images is compared on all of them", "[card][trust]") {
  const stand_in::Faultless faultless;
  for (const bool wrong : {false, true}) {
    CAPTURE(wrong);
    const TwoEngines device(wrong ? 56 : 48, wrong);
    stand_in::refusing_engine() = [](const Graph& g, int64_t engine) {
      return g.nodes.size() > 1 && (engine == 4) == (TwoEngines::images_of(g) > few);
    };
    const LogLines said;
    CHECK(device.fuses(many) == !wrong);
    CHECK(TwoEngines::ran(many, 5));
    CHECK(said.lines.size() == (wrong ? 1 : 0));
  }
}

TEST_CASE("an engine that nothing could be compared of is not trusted", "[card][trust]") {
  struct Full final : MemorySource {
    Block allocate(size_t bytes, const std::string& what) override {
      throw OutOfMemory(concat("out of memory: ", bytes, " bytes for ", what));
    }
    void release(const Block&) override {}
    MemoryStatistics statistics() const override { return {}; }
    void reset_peak() override {}
  };
  const stand_in::Faultless faultless;
  TwoEngines device(72, false);
  device.backend = cuda::card::make_backend(cuda::driver_of(Device::cuda), cuda::compute_stream(Device::cuda), std::make_shared<Full>());
  const LogLines said;
  for (int i = 0; i < 2; ++i) CHECK_FALSE(device.fuses(many));
  REQUIRE(said.lines.size() == 1);
  CHECK_THAT(said.lines[0], Contains("engine 5") && Contains("nothing was compared: out of memory"));
}
