// Inference as a captured step: the same bits as the model called directly, in memory that is planned.
#include "tests/support/catch.h"

#include <optional>

#include "models/network/inference_step.h"
#include "apps/training/prediction.h"
#include "apps/training/train_step.h"
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

namespace {

void scale(Parameter& p, float factor) {
  Tensor values = Tensor::empty(p.shape(), DType::f32, Device::cpu);
  backend(p.device()).download(p.master(), values.raw());
  for (int64_t i = 0; i < values.numel(); ++i) values.data<float>()[i] *= factor;
  p.assign(values);
}

Batch two_pictures(int64_t first) {
  Batch batch;
  batch.images = pictures(2, first);
  batch.labels = Tensor::of<int32_t>({2}, {0, 1});
  batch.row_keys = Tensor::of<int32_t>({2, 2}, {1, 2, 3, 4});
  batch.rows = 2;
  batch.samples = {0, 1};
  return batch;
}

std::vector<double> masters(Classifier& model) {
  std::vector<double> all;
  for (Parameter* p : model.parameters())
    for (double v : download_as_double(p->master())) all.push_back(v);
  return all;
}

}  // namespace

TEST_CASE("BatchNorm is folded into filters outside of captured inference, and again after each change of what is folded",
          "[training][step][cuda-sim]") {
  for (const DType dtype : {DType::f32, DType::f16}) {
    CAPTURE(dtype_name(dtype));
    Classifier model(small_network(test::cuda_under_test(), dtype));
    InferenceStep step(model, {1, size, size, 3});
    const auto run = [&] { return download_as_double(step.run(pictures(1, 0))); };
    std::vector<double> before;
    for (int round = 0; round < 4; ++round) before = run();
    REQUIRE(step.captured().replays());
    for (const KernelCall& call : step.captured().kernels()) {
      CHECK(call.kernel != "fold_batch_norm");
      CHECK_FALSE(call.key.scale);
    }
    ConvBn& unit = *model.backbone().units()[4];
    const auto changed = [&](const Tensor& statistic, double value) {
      backend(test::cuda_under_test()).fill(statistic, value);
      unit.bn.buffers_changed();
    };
    for (const std::function<void()>& change :
         std::vector<std::function<void()>>{[&] { scale(unit.conv.weight, 3); }, [&] { scale(unit.bn.gamma, 0.5f); },
                                            [&] { unit.bn.beta.assign(Tensor::of<float>({64}, std::vector<float>(64, 0.25f))); },
                                            [&] { changed(unit.bn.running_mean, 0.5); }, [&] { changed(unit.bn.running_variance, 4); }}) {
      change();
      const std::vector<double> after = run();
      CHECK(after != before);
      CHECK(after == called_directly(model, pictures(1, 0)));
      CHECK(run() == after);
      before = after;
    }
  }
}

TEST_CASE("captured inference follows training that is replayed beside it, whether that says what it changed or not",
          "[training][step][cuda-sim]") {
  Classifier model(small_network(test::cuda_under_test()));
  model.set_training(true);
  Adam adam(model.parameters(), {.lr = 1e-3});
  TrainStep says(model, adam, {}, {2, size, size, 3}, {});
  const Tensor images = Tensor::empty({2, size, size, 3}, DType::u8, test::cuda_under_test()),
               labels = Tensor::zeros({2}, DType::i32, test::cuda_under_test()),
               keys = Tensor::zeros({2, 2}, DType::i32, test::cuda_under_test());
  backend(test::cuda_under_test()).upload(pictures(2, 5).raw(), images);
  CapturedStep silent(test::cuda_under_test(),
                      [&] { adam.minimise([&] { return cross_entropy(model(model.normalize(images), keys), labels).loss; }); });
  InferenceStep step(model, {1, size, size, 3});
  std::vector<double> before;
  for (int round = 0; round < 6; ++round) {  // the third run of each is replayed
    if (round % 2 == 0)
      says.run(two_pictures(round));
    else
      silent.run();
    const std::vector<double> after = download_as_double(step.run(pictures(1, 0)));
    CHECK(after != before);
    before = after;
    if (round < 4) continue;
    model.set_training(false);
    CHECK(after == called_directly(model, pictures(1, 0)));
    model.set_training(true);
  }
  CHECK((says.captured().replays() && silent.replays() && step.captured().replays()));
}

TEST_CASE("a frozen front is folded outside of a captured step of training, which goes on as one that folds in each step",
          "[training][step][cuda-sim]") {
  struct Net {
    Net() : model(small_network(test::cuda_under_test())) {
      model.freeze_backbone();
      model.unfreeze("layer4");
      for (ConvBn* u : model.backbone().units()) u->bn.set_batch_statistics(u->conv.weight.trainable());
      model.set_training(true);
      adam.emplace(model.parameters(), AdamOptions{.lr = 1e-3});
    }
    Classifier model;
    std::optional<Adam> adam;
  };
  Net folded, direct;
  TrainStep step(folded.model, *folded.adam, {}, {2, size, size, 3}, {});
  const Tensor images = Tensor::empty({2, size, size, 3}, DType::u8, test::cuda_under_test()),
               labels = Tensor::empty({2}, DType::i32, test::cuda_under_test()),
               keys = Tensor::empty({2, 2}, DType::i32, test::cuda_under_test());
  for (int round = 0; round < 4; ++round) {
    const Batch batch = two_pictures(round);
    for (const auto& [from, to] : {std::pair{&batch.images, &images}, {&batch.labels, &labels}, {&batch.row_keys, &keys}})
      backend(test::cuda_under_test()).upload(from->raw(), *to);
    if (round == 3)
      for (Net* n : {&folded, &direct}) scale(n->model.backbone().units()[4]->conv.weight, 2);
    step.run(batch);
    direct.adam->minimise([&] { return cross_entropy(direct.model(direct.model.normalize(images), keys), labels).loss; });
    CHECK((masters(folded.model) == masters(direct.model)));
  }
  CHECK(step.captured().replays());
  int64_t folds = 0;
  for (const KernelCall& call : step.captured().kernels()) folds += call.kernel == "fold_batch_norm";
  CHECK(folds == 0);
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
