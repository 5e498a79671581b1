// Training with activations, gradients and working weights stored in 16 bits: close to f32, and an overflow costs a step,
// not the run.
#include "tests/support/catch.h"

#include <cmath>

#include "apps/training/train_step.h"
#include "engine/plan/meta_backend.h"
#include "engine/core/ops.h"
#include "tests/support/texture_data.h"

using namespace dura;
using namespace dura::test;

namespace {

constexpr int64_t rows = 4, size = 32;

// Stripes that rise and stripes that fall, the same batch at every step.
Batch stripes() {
  Batch b;
  b.images = Tensor::empty({rows, size, size, 3}, DType::u8, Device::cpu);
  b.labels = Tensor::of<int32_t>({rows}, {0, 1, 0, 1});
  b.row_keys = Tensor::of<int32_t>({rows, 2}, {1, 2, 3, 4, 5, 6, 7, 8});
  b.rows = rows;
  for (int64_t n = 0; n < rows; ++n) {
    const Image image = texture(n, n % 2 == 0, size, size);
    for (int64_t i = 0; i < size * size; ++i)
      for (int64_t c = 0; c < 3; ++c) b.images.data<uint8_t>()[(n * size * size + i) * 3 + c] = image.at(i / size, i % size);
  }
  return b;
}

// Steps of a ResNet-18 that is free as a whole, with stored statistics.
struct Training {
  explicit Training(DType precision, double scale = 65536)
      : model({.backbone = {.depth = 18, .tensors = {.compute = precision}}, .classes = {"rising", "falling"}, .dropout = 0, .seed = 3}),
        adam(prepared(model).parameters(), {.lr = 1e-4}, {.enabled = precision == DType::f16, .initial_scale = scale}),
        step(model, adam, {}, {rows, size, size, 3}) {}
  static Classifier& prepared(Classifier& model) {
    model.set_training(true);
    return model;
  }
  double loss_of_next_step() {
    step.reset_sums();
    step.run(batch);
    return step.read_sums().loss / rows;
  }
  double state(StepState::Slot slot) const { return adam.read_state()[slot]; }

  const Batch batch = stripes();
  Classifier model;
  Adam adam;
  TrainStep step;
};

std::vector<float> values(const Tensor& t) { return {t.data<float>(), t.data<float>() + t.numel()}; }

}  // namespace

TEST_CASE("twenty steps in f16 and in bf16 stay close to those in f32", "[training][precision]") {
  // From 65536 on, gradients of this untrained network overflow in the first steps, which are skipped, as they should be.
  Training full(DType::f32), half(DType::f16, 1024), brain(DType::bf16);
  double first = 0, last = 0;
  for (int i = 0; i < 20; ++i) {
    const double f = full.loss_of_next_step(), h = half.loss_of_next_step(), b = brain.loss_of_next_step();
    CAPTURE(i, f, h, b);
    if (i == 0) first = f;
    last = f;
    CHECK(std::abs(h - f) < 0.03 + 0.1 * f);
    CHECK(std::abs(b - f) < 0.1 + 0.2 * f);
  }
  CHECK(last < first / 2);
  CHECK(half.state(StepState::skipped_steps) == 0);
  CHECK(half.state(StepState::loss_scale) == 1024);
  CHECK(brain.state(StepState::loss_scale) == 1);
  CHECK(half.model.parameters().front()->master().dtype() == DType::f32);
  CHECK(half.model.parameters().front()->compute().dtype() == DType::f16);
}

TEST_CASE("a gradient that overflows f16 skips its step, is counted and halves the loss scale", "[training][precision]") {
  Training t(DType::f16);
  std::vector<double> state = t.adam.read_state();
  state[StepState::loss_scale] = 0x1p60;
  t.adam.write_state(state);
  const Tensor& master = t.model.head().weight.master();
  const std::vector<float> before = values(master);
  const double loss = t.loss_of_next_step();
  CHECK(std::isfinite(loss));
  CHECK(values(master) == before);
  CHECK(t.state(StepState::skipped_steps) == 1);
  CHECK(t.state(StepState::step_count) == 0);
  CHECK(t.state(StepState::loss_scale) == 0x1p59);
  state = t.adam.read_state();
  state[StepState::loss_scale] = 1024;
  t.adam.write_state(state);
  t.loss_of_next_step();
  CHECK(values(master) != before);
  CHECK(t.state(StepState::skipped_steps) == 1);
}

TEST_CASE("stored in 16 bits, a step's activations and gradients take about half of the memory", "[training][precision][memory]") {
  // By a dry run, which other tests find to be what is used: ResNet-50 at the size of the real job. Workspaces do not shrink, so a little
  // more than a half.
  const auto planned = [](DType precision) {
    Classifier model({.backbone = {.depth = 50, .tensors = {.compute = precision, .device = Device::meta}}, .classes = {"a", "b"}},
                     Initialise::no);
    model.set_training(true);
    const Tensor images = Tensor::empty({16, 224, 224, 3}, DType::u8, Device::meta);
    const Tensor labels = Tensor::empty({16}, DType::i32, Device::meta), keys = Tensor::empty({16, 2}, DType::i32, Device::meta);
    Adam adam(model.parameters(), {});
    const DryRun dry(Device::meta);
    adam.begin_step();
    Tape tape;
    tape.backward(scale_loss(cross_entropy(model(model.normalize(images), keys), labels).loss, adam.state()));
    return static_cast<double>(dry.memory_plan().bytes);
  };
  const double full = planned(DType::f32);
  CHECK(planned(DType::f16) < 0.55 * full);
  CHECK(planned(DType::bf16) < 0.55 * full);
}
