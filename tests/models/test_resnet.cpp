#include "tests/support/catch.h"

#include <algorithm>
#include <cmath>

#include "engine/optim/adam.h"
#include "engine/plan/captured_step.h"
#include "engine/base/parallel.h"
#include "engine/base/random.h"
#include "models/network/summary.h"

using namespace dura;

namespace {

Tensor random_images(const Shape& shape, DType dtype, uint64_t seed) {
  const Tensor wide = Tensor::empty(shape, DType::f64, Device::cpu), x = Tensor::empty(shape, dtype, Device::cpu);
  Random random(seed);
  for (int64_t i = 0; i < shape.numel(); ++i) wide.data<double>()[i] = random.normal();
  backend(Device::cpu).cast(wide, x);
  return x;
}

Tensor row_keys(int64_t n) {
  const Tensor keys = Tensor::empty({n, 2}, DType::i32, Device::cpu);
  for (int64_t i = 0; i < 2 * n; ++i) keys.data<int32_t>()[i] = static_cast<int32_t>(i * 77 + 5);
  return keys;
}

std::vector<std::string> numbered(int n) {
  std::vector<std::string> names;
  for (int i = 0; i < n; ++i) names.push_back(std::to_string(i));
  return names;
}

}  // namespace

TEST_CASE("ResNet-50 has the published number of parameters and multiply-accumulates", "[models]") {
  const Summary s = summarise({.backbone = {.depth = 50}, .classes = numbered(1000)}, 224, 224);
  CHECK(s.parameters == 25557032);
  CHECK(static_cast<double>(s.macs) / 1e9 == Approx(4.089).epsilon(2e-4));
  int64_t by_row = 0;
  for (const auto& r : s.rows) by_row += r.parameters;
  CHECK(by_row == s.parameters);
}

TEST_CASE("the mission's last half of ResNet-50 begins at layer3.0's shortcut", "[models]") {
  Classifier model({.backbone = {.depth = 50, .tensors = {.device = Device::meta}}, .classes = {"Menin", "Glioma"}});
  model.freeze_backbone();
  CHECK(model.trainable_numel() == 2 * 2048 + 2);
  model.unfreeze("keras50");
  CHECK(model.trainable_numel() - (2 * 2048 + 2) == Approx(21.34e6).epsilon(1e-3));
  CHECK_THROWS_AS(model.unfreeze("layer7+"), UsageError);
  model.freeze_backbone();
  model.unfreeze("layer4");
  CHECK(model.trainable_numel() - (2 * 2048 + 2) == 14964736);
}

TEST_CASE("a fresh head starts small, so that the first loss is near that of a guess", "[models]") {
  Classifier model({.backbone = {.depth = 18}, .classes = {"a", "b"}, .seed = 4});
  const Tensor& w = model.head().weight.master();
  const float limit = 1 / std::sqrt(512.0f);
  float largest = 0;
  for (int64_t i = 0; i < w.numel(); ++i) largest = std::max(largest, std::abs(w.data<float>()[i]));
  CHECK(largest <= limit);
  CHECK(largest > 0.95f * limit);
}

TEST_CASE("without gradients the first stages see a few large images at a time, with the same bits", "[models]") {
  Classifier model({.backbone = {.depth = 18}, .classes = {"a", "b"}, .seed = 1});
  const NoGradScope no_grad(model);
  const int64_t N = 2 * num_threads() + 3, size = 192;  // whole groups and a part of one
  const Tensor images = random_images({N, size, size, 3}, DType::f32, 1);
  const Tensor groups = model.backbone().run(images, 0, 2).value();
  const Tensor whole = model.backbone().run(Var::leaf(images), 0, 2).value();  // its gradient is wanted
  REQUIRE(groups.shape() == whole.shape());
  CHECK(std::equal(groups.data<float>(), groups.data<float>() + groups.numel(), whole.data<float>()));
  // While operations are traced nothing is grouped, but where that is asked for.
  const auto runs_of_stem = [&](bool trace_groups) {
    int runs = 0;
    model.backbone().trace_groups(trace_groups);
    set_trace_sink([&](const OpRecord& record) { runs += record.label == "conv1"; });
    model.backbone().run(images, 0, 0);
    set_trace_sink({});
    return runs;
  };
  CHECK(runs_of_stem(false) == 1);
  CHECK(runs_of_stem(true) > 1);
}

TEST_CASE("a captured step uses the planned memory exactly, step after step, and learns its batch", "[models][engine]") {
  const int64_t N = 4;
  Classifier model({.backbone = {.depth = 18}, .classes = {"a", "b"}, .dropout = 0.5, .seed = 3});
  model.set_training(true);
  const Tensor x = random_images({N, 33, 35, 3}, DType::f32, 1), keys = row_keys(N), labels = Tensor::of<int32_t>({N}, {0, 1, 1, 0});
  const Tensor sums = Tensor::zeros({2 + 4}, DType::f64, Device::cpu);
  Adam adam(model.parameters(), {.lr = 1e-3});
  CapturedStep step(Device::cpu, [&] {
    adam.begin_step();
    Tape tape;
    const CrossEntropy ce = cross_entropy(model(x, keys), labels);
    tape.backward(scale_loss(ce.loss, adam.state()));
    adam.step();
    backend(Device::cpu).add_metrics(ce.probabilities, labels, ce.loss.value(), sums);
  });
  double first = 0;
  for (int i = 0; i < 8; ++i) {
    sums.data<double>()[1] = 0;
    step.run();
    if (i == 0) first = sums.data<double>()[1];
  }
  CHECK(sums.data<double>()[1] < 0.2 * first);
  CHECK(step.measured_peak() == step.predicted_peak());
  CHECK(adam.read_state()[StepState::step_count] == 8);
}
