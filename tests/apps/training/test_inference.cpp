// Inference as a captured step: the same bits as the model called directly, in memory that is planned.
#include "tests/support/catch.h"

#include "models/network/inference_step.h"
#include "apps/training/prediction.h"
#include "tests/support/cuda_under_test.h"
#include "tests/support/simulated_device.h"

using namespace dura;

namespace {

constexpr int64_t size = 33;

Tensor pictures(int64_t count, int64_t first) {
  std::vector<uint8_t> bytes(static_cast<size_t>(count * size * size * 3));
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>((i * 31 + static_cast<size_t>(first) * 7) % 251);
  return Tensor::of<uint8_t>({count, size, size, 3}, bytes);
}

ClassifierOptions small_network(Device device, DType compute = DType::f32) {
  return {.backbone = {.depth = 18, .tensors = {.compute = compute, .device = device}}, .classes = {"a", "b"}, .seed = 3};
}

std::vector<double> called_directly(Classifier& model, const Tensor& host) {
  const Tensor images = Tensor::empty(host.shape(), DType::u8, model.options().backbone.tensors.device);
  backend(images.device()).upload(host.raw(), images);
  return download_as_double(model(model.normalize(images)).value());
}

}  // namespace

TEST_CASE("inference in planned memory, captured or not, has the bits of the model called directly, batch after batch",
          "[training][step][cuda-sim]") {
  struct Form {
    Device device;
    DType compute;
    bool capture;
  };
  for (const Form form :
       {Form{Device::cpu, DType::f32, true}, Form{Device::cpu, DType::f16, true}, Form{test::cuda_under_test(), DType::f32, true},
        Form{test::cuda_under_test(), DType::f16, true}, Form{test::cuda_under_test(), DType::f32, false}}) {
    CAPTURE(device_name(form.device), dtype_name(form.compute), form.capture);
    Classifier model(small_network(form.device, form.compute));
    std::vector<std::vector<double>> expected;
    for (int64_t batch = 0; batch < 4; ++batch) expected.push_back(called_directly(model, pictures(2, batch)));
    CHECK(expected[0] != expected[1]);
    model.set_training(true);
    InferenceStep step(model, {2, size, size, 3}, form.capture);
    for (int64_t batch = 0; batch < 4; ++batch)
      CHECK(download_as_double(step.run(pictures(2, batch))) == expected[static_cast<size_t>(batch)]);
    CHECK(model.training());
    CHECK(step.captured().replays() == (form.device != Device::cpu && form.capture));
    CHECK(step.captured().measured_peak() == step.captured().predicted_peak());
    CHECK_THROWS_WITH(step.run(pictures(3, 0)), Catch::Contains("inference: images") && Catch::Contains("(3,33,33,3)"));
  }
}

TEST_CASE("inference sees weights that have changed since it was captured", "[training][step][cuda-sim]") {
  Classifier model(small_network(test::cuda_under_test()));
  InferenceStep step(model, {1, size, size, 3});
  std::vector<double> before;
  for (int round = 0; round < 4; ++round) before = download_as_double(step.run(pictures(1, 0)));
  REQUIRE(step.captured().replays());
  Tensor doubled = Tensor::empty(model.head().weight.shape(), DType::f32, Device::cpu);
  backend(test::cuda_under_test()).download(model.head().weight.master(), doubled.raw());
  for (int64_t i = 0; i < doubled.numel(); ++i) doubled.data<float>()[i] *= 2;
  model.head().weight.assign(doubled);
  const std::vector<double> after = download_as_double(step.run(pictures(1, 0)));
  CHECK(after == called_directly(model, pictures(1, 0)));
  CHECK(after != before);
}

TEST_CASE("inference for which there is no memory says which batch would fit", "[training][cuda-sim][memory]") {
  Classifier model(small_network(Device::cuda_sim));
  const size_t of_three = [&] {
    InferenceStep three(model, {3, size, size, 3});
    three.prepare();
    return three.captured().predicted_peak();
  }();
  InferenceStep eight(model, {8, size, size, 3});
  device_pool(Device::cuda_sim)->reset_peak();
  const cuda::test::SmallMemory memory(device_pool(Device::cuda_sim)->statistics().in_use + of_three +
                                       (size_t{16} << 10));  // a batch is tried with its images inside
  CHECK_THROWS_WITH(eight.prepare(), Catch::Contains("out of memory: inference of batch 8 would need") &&
                                         Catch::Contains("The largest batch that fits is 3."));
}
