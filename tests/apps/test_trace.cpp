// dura-inspect diff on traces of the same training on two devices, and on one in which a filter was changed.
#include "tests/support/catch.h"

#include "engine/base/file.h"
#include "tests/support/cuda_under_test.h"
#include "tests/support/run_program.h"
#include "tests/support/texture_data.h"

using namespace dura;
using namespace dura::test;
using Catch::Contains;

TEST_CASE("dura-inspect names the first op in which a trace on the simulated CUDA device parts from the CPU's", "[apps][cuda-sim][trace]") {
  const TextureData data({.train = 4, .val = 3, .test = 0});
  const TemporaryFolder out;
  const std::string weights = write_initial_model(out / "weights.safetensors");
  const auto trace = [&](const std::string& device, const std::string& initial, const std::string& name) {
    std::vector<std::string> arguments = {"--device", device, "--trace", out / name, "--data", data.path(), "--out", out / ("run-" + name)};
    arguments = joined(arguments, {"--weights", initial, "--depth", "18", "--size", "32", "--batch", "4", "--phase1-epochs", "0"});
    const ProgramRun run =
        run_program("dura-train", joined(arguments, {"--phase2-epochs", "1", "--unfreeze", "all", "--feature-budget", "0"}));
    INFO(run.output);
    REQUIRE(run.code == 0);
    return out / name;
  };
  const std::string cpu = trace("cpu", weights, "cpu.trace");
  // Means near zero lose digits by cancellation; a mean of 1e-4 in an activation of about 1 is such.
  const std::vector<std::string> tolerances = {"--absolute", "1e-4"};
  const ProgramRun same =
      run_program("dura-inspect", joined({"diff", cpu, trace(device_name(cuda_under_test()), weights, "sim.trace")}, tolerances));
  CHECK(same.code == 0);
  CHECK_THAT(same.output, Contains("no op is beyond tolerance"));
  CHECK_THAT(read_text_file(cpu, 1 << 22), Contains("backward conv_bn_act layer1.0.conv1 "));

  // One filter 20 % larger: everything before it is as before.
  Classifier spoilt({.backbone = {.depth = 18}, .classes = {"rare", "usual"}, .seed = 7});
  for (ConvBn* u : spoilt.backbone().units())
    if (u->conv.name() == "layer3.0.conv1") {
      const Tensor larger = Tensor::empty(u->conv.weight.shape(), DType::f32, Device::cpu);
      for (int64_t i = 0; i < larger.numel(); ++i) larger.data<float>()[i] = 1.2f * u->conv.weight.master().data<float>()[i];
      u->conv.weight.assign(larger);
    }
  write_model(out / "spoilt.safetensors", spoilt, {.size = 32});
  const ProgramRun other = run_program(
      "dura-inspect", joined({"diff", cpu, trace(device_name(cuda_under_test()), out / "spoilt.safetensors", "spoilt.trace")}, tolerances));
  CHECK(other.code == 1);
  CHECK_THAT(other.output, Contains("forward conv_bn_act layer3.0.conv1 "));
}
