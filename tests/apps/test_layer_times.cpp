// Where a step's time goes: what dura-bench --layers counts and prints.
#include "tests/support/catch.h"

#include "apps/study/layer_times.h"
#include "tests/support/run_program.h"
#include "tests/support/texture_data.h"

using namespace dura;
using namespace dura::test;
using Catch::Contains;

TEST_CASE("A layer's rate counts the direct algorithm's operations, once forward and once for each gradient", "[apps][layers]") {
  Classifier model({.backbone = {.depth = 18}, .classes = {"a", "b"}, .seed = 1});
  LayerTimes times(model.backbone().units());
  const auto ran = [&](const char* direction, const Shape& result, double ms) {
    times.add({direction, "conv_bn_act", "layer1.0.conv1", Tensor::empty(result, DType::f32, Device::cpu), ms});
  };
  // 4096 outputs of 576 products: 4.72 MFLOP. Twice the same step, forward in two halves of the batch; the results of one op carry one
  // time.
  for (const double ms : {0.0, 0.5}) {
    ran("forward", {1, 4, 8, 64}, 0.2 + ms / 1000);
    ran("forward", {1, 4, 8, 64}, 0.3);
    ran("backward", {2, 4, 8, 64}, 2 + ms);  // the input's gradient
    ran("backward", {64, 3, 3, 64}, 2 + ms);
    ran("backward", {64}, 2 + ms);  // gamma's
    times.end_step();
  }
  const Table table = times.table(100e9);
  REQUIRE(table.size() == 5);  // heading, forward, backward, all, all convolutions
  CHECK(table[1] == std::vector<std::string>{"forward", "conv_bn_act", "layer1.0.conv1", "(2,4,8,64)", "0.500", "16.7", "9.4", "9"});
  CHECK(table[2] == std::vector<std::string>{"backward", "conv_bn_act", "layer1.0.conv1", "(2,4,8,64)", "2.500", "83.3", "3.8", "4"});
  CHECK(table[4][6] == "4.7");
  CHECK(times.table(0)[1].back() == "-");
}

TEST_CASE("dura-bench --layers prints each layer and pass beside the measured peak, and its line of JSON as ever", "[apps][layers]") {
  const std::vector<std::string> small = {"--depth", "18", "--size", "32", "--batch", "2", "--repetitions", "2", "--threads", "1"};
  for (const char* precision : {"f32", "bf16"}) {
    const ProgramRun run = run_program("dura-bench", joined(small, {"--mode", "train", "--layers", "--precision", precision}));
    INFO(run.output);
    REQUIRE(run.code == 0);
    CHECK_THAT(run.output, Contains("\"mode\": \"train\"") && Contains("forward   conv_bn_act    layer4.1.conv2") &&
                               Contains("backward  conv_bn_act    conv1") && Contains("peak, measured: "));
  }
}
