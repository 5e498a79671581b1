// A step on a device with too little memory: what is said, that the batch which is said to fit fits, and that the next does not.
#include "tests/support/catch.h"

#include <regex>

#include "engine/core/ops.h"
#include "engine/plan/captured_step.h"
#include "tests/support/simulated_device.h"

using namespace dura;
using cuda::test::SmallMemory;

namespace {

constexpr Device device = Device::cuda_sim;

// The images of a step are inside of it, so that all it needs is in its arena.
void pass(int64_t batch) {
  const Var w = Var::leaf(Tensor::zeros({16, 3, 3, 8}, DType::f32, device)), gamma = Var::leaf(Tensor::zeros({16}, DType::f32, device)),
            beta = Var::leaf(Tensor::zeros({16}, DType::f32, device));
  const Tensor mean = Tensor::zeros({16}, DType::f32, device), variance = Tensor::zeros({16}, DType::f32, device);
  Tape tape;
  const Var y = conv_bn_act(
      Tensor::zeros({batch, 32, 32, 8}, DType::f32, device), w, {.stride = 1, .padding = 1},
      {.gamma = gamma, .beta = beta, .running_mean = mean, .running_variance = variance, .mode = BatchNormMode::batch_statistics});
  tape.backward(y, Tensor::zeros(y.shape(), DType::f32, device));
}

CapturedStep step_of(int64_t batch) {
  return CapturedStep(device, [batch] { pass(batch); }, {.batch = batch, .body_of_batch = pass});
}

std::string message_of(int64_t batch) {
  CapturedStep step = step_of(batch);
  try {
    step.prepare();
  } catch (const OutOfMemory& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("out of memory names the predicted peak, the device's memory and the largest batch, which runs", "[cuda-sim][step][memory]") {
  const size_t held = device_pool(device)->statistics().in_use, of_eleven = step_of(11).plan().bytes;
  device_pool(device)->reset_peak();  // and gives back what the pool keeps for later
  const SmallMemory memory(held + of_eleven + 1000);
  const std::string message = message_of(64);
  INFO(message);
  CHECK_THAT(message, Catch::Contains("a step of batch 64 would need") && Catch::Contains("cuda-sim has") &&
                          Catch::Contains("The largest batch that fits is 11."));
  const size_t needed = (step_of(64).plan().bytes + (size_t{1} << 20) - 1) >> 20;
  CHECK_THAT(message, Catch::Contains(concat("would need ", needed, " MiB at its peak")));
  CHECK_THAT(message_of(12), Catch::Contains("The largest batch that fits is 11."));
  CapturedStep fits = step_of(11);
  fits.run();
  CHECK(fits.measured_peak() == fits.predicted_peak());
  CHECK(fits.predicted_peak() == of_eleven);
}

TEST_CASE("memory that a device turns out not to have is an error with the largest batch, too", "[cuda-sim][step][memory]") {
  bool full = false;
  const auto body = [&](int64_t batch) {
    pass(batch);
    // As a card does when a library loads its modules late.
    if (full) throw OutOfMemory("out of memory: 64 bytes");
  };
  CapturedStep step(device, [&] { body(16); }, {.batch = 16, .body_of_batch = pass});
  step.run();
  full = true;
  std::string message;
  try {
    step.run();
  } catch (const OutOfMemory& e) {
    message = e.what();
  }
  CHECK_THAT(message, Catch::Contains("a step of batch 16 would need") &&
                          Catch::Contains("less than it seemed to have (out of memory: 64 bytes)") &&
                          Catch::Contains("The largest batch that fits is 1"));
}

TEST_CASE("out of memory says where not even one image fits", "[cuda-sim][step][memory]") {
  device_pool(device)->reset_peak();
  const SmallMemory memory(device_pool(device)->statistics().in_use + 1000);
  CHECK_THAT(message_of(8), Catch::Contains("Not even one image fits."));
}

TEST_CASE("the largest batch is found without asking kernels for workspaces too, and then errs on the small side", "[step][memory]") {
  const auto bytes_with = [](std::optional<size_t> workspace) {
    const DryRun dry(device, workspace);
    pass(4);
    return dry.memory_plan().bytes;
  };
  CHECK(bytes_with(size_t{1} << 20) >= bytes_with({}));
}

TEST_CASE("a step that is not to be captured calls its body every time, with the same results", "[cuda-sim][step]") {
  const Tensor sum = Tensor::zeros({1}, DType::f32, device), one = Tensor::zeros({1}, DType::f32, device);
  backend(device).fill(one, 1);
  int calls = 0;
  CapturedStep step(device, [&] { backend(device).add(sum, one, sum), ++calls; }, {.capture = false});
  for (int i = 0; i < 5; ++i) step.run();
  CHECK_FALSE(step.replays());
  CHECK(calls == 6);  // the first is the plan
  float host = 0;
  backend(device).download(sum, &host);
  CHECK(host == 5);
}
