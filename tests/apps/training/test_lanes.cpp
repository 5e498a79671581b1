// A batch cut into lanes: the step that it makes is that of the batch as a whole, in the memory of a lane.
#include "tests/support/catch.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "apps/training/train_step.h"
#include "tests/support/cuda_under_test.h"
#include "tests/support/ranks.h"
#include "tests/support/texture_data.h"

using namespace dura;
using namespace dura::test;

namespace {

constexpr int64_t rows = 8, size = 32;

Batch stripes(uint64_t number) {
  Batch b;
  b.images = Tensor::empty({rows, size, size, 3}, DType::u8, Device::cpu);
  b.labels = Tensor::of<int32_t>({rows}, {0, 1, 1, 1, 0, 0, 1, 0});
  b.row_keys = Tensor::zeros({rows, 2}, DType::i32, Device::cpu);
  b.rows = rows;
  for (int64_t n = 0; n < rows; ++n) {
    b.samples.push_back(n);
    b.row_keys.data<int32_t>()[2 * n] = static_cast<int32_t>(n + 100 * static_cast<int64_t>(number));
    const Image image = texture(n + 8 * static_cast<int64_t>(number), b.labels.data<int32_t>()[n] == 0, size, size);
    for (int64_t i = 0; i < size * size; ++i)
      for (int64_t c = 0; c < 3; ++c) b.images.data<uint8_t>()[(n * size * size + i) * 3 + c] = image.at(i / size, i % size);
  }
  return b;
}

// The batch as a process has it that computes a part of its lanes.
Batch part_of_rank(Batch b, const Communicator& ranks) {
  const int64_t own = rows / ranks.size();
  b.first_image = ranks.rank() * own;
  b.images = b.images.slice(b.first_image * size * size * 3, b.images.shape().of_batch(own));
  return b;
}

// The rows [first, first + count) as a batch.
Batch part_of(const Batch& b, int64_t first, int64_t count) {
  const auto part = [&](const Tensor& t) { return t.slice(first * (t.numel() / t.shape()[0]), t.shape().of_batch(count)); };
  Batch p;
  p.images = part(b.images), p.labels = part(b.labels), p.row_keys = part(b.row_keys);
  p.rows = count;
  p.samples.assign(b.samples.begin() + first, b.samples.begin() + first + count);
  return p;
}

struct Case {
  DType precision = DType::f32;
  int64_t lanes = 1, batch = rows;
  LossOptions loss = {};
  double dropout = 0.5, scale = 1024;
  bool batch_statistics = false, capture = true;
  Device device = Device::cpu;
  Communicator* ranks = &alone();
  int64_t bucket_bytes = 0;
};

struct Training {
  explicit Training(const Case& c)
      : model({.backbone = {.depth = 18, .tensors = {.compute = c.precision, .device = c.device}},
               .classes = {"rising", "falling"},
               .dropout = c.dropout,
               .seed = 3}),
        adam(prepared(model, c).parameters(), {.lr = 1e-4}, {.enabled = c.precision == DType::f16, .initial_scale = c.scale}),
        step(model, adam, c.loss, {c.batch / c.lanes, size, size, 3},
             {.lanes = c.lanes, .capture = c.capture, .ranks = c.ranks, .bucket_bytes = c.bucket_bytes}) {}
  static Classifier& prepared(Classifier& model, const Case& c) {
    model.set_training(true);
    for (ConvBn* u : model.backbone().units()) u->bn.set_batch_statistics(c.batch_statistics);
    return model;
  }
  std::vector<double> weights() {
    std::vector<double> all;
    for (const ParameterArena::Group& g : adam.arena().groups()) {
      const std::vector<double> some = download_as_double(g.master);
      all.insert(all.end(), some.begin(), some.end());
    }
    return all;
  }
  // A tenth of the gradient after the first step, as Adam's moment begins with 0.
  std::vector<double> moments() {
    std::vector<double> all;
    for (const ParameterArena::Group& g : adam.arena().groups()) {
      const std::vector<double> some = download_as_double(g.m);
      all.insert(all.end(), some.begin(), some.end());
    }
    return all;
  }
  double state(StepState::Slot slot) const { return adam.read_state()[slot]; }

  Classifier model;
  Adam adam;
  TrainStep step;
};

double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0, largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    worst = std::max(worst, std::abs(a[i] - b[i]));
    largest = std::max(largest, std::abs(b[i]));
  }
  REQUIRE(largest > 0);
  return worst / largest;
}

}  // namespace

TEST_CASE("lanes make the gradient and the loss of the batch, however it is weighted", "[training][lanes]") {
  const std::vector<LossOptions> losses = {
      {},
      {.class_weights = {4, 1}, .cross_entropy = {}},
      {.class_weights = {4, 1}, .cross_entropy = {.norm = ClassWeightNorm::sum_of_weights}},
      {.class_weights = {4, 1}, .cross_entropy = {.norm = ClassWeightNorm::sum_of_weights, .label_smoothing = 0.1}}};
  for (const LossOptions& loss : losses) {
    Training whole({.loss = loss});
    for (int i = 0; i < 2; ++i) whole.step.run(stripes(0));  // twice the same: both steps count in the sums
    const TrainSums expected = whole.step.read_sums();
    for (const int64_t lanes : {2, 8}) {
      CAPTURE(lanes, loss.class_weights.size(), loss.cross_entropy.label_smoothing);
      Training t({.lanes = lanes, .loss = loss});
      t.step.run(stripes(0));
      t.step.run(stripes(0));
      CHECK(largest_difference(t.moments(), whole.moments()) < 1e-4);
      const TrainSums sums = t.step.read_sums();
      CHECK(sums.images == 2 * rows);
      CHECK(sums.loss == Approx(expected.loss).epsilon(1e-5));
      CHECK(sums.weighted_loss == Approx(expected.weighted_loss).epsilon(1e-5));
      CHECK(sums.confusion == expected.confusion);
      t.step.reset_sums();
      CHECK(t.step.read_sums().loss == 0);
    }
  }
}

TEST_CASE("lanes follow each other in the memory of one", "[training][lanes][memory]") {
  const auto peak = [](int64_t lanes) {
    Training t({});
    TrainStep step(t.model, t.adam, {}, {rows / lanes, 160, 160, 3}, {.lanes = lanes});
    step.prepare();
    return step.captured().predicted_peak();
  };
  CHECK(peak(8) < peak(1) / 3);
  Training t({.lanes = 8});
  t.step.run(stripes(0));
  CHECK(t.step.captured().measured_peak() == t.step.captured().predicted_peak());
}

TEST_CASE("with batch statistics each lane has its own, and the running ones follow lane 0", "[training][lanes]") {
  Training lanes({.lanes = 2, .batch_statistics = true}), first({.batch = rows / 2, .batch_statistics = true});
  lanes.step.run(stripes(0));
  first.step.run(part_of(stripes(0), 0, rows / 2));
  const std::vector<NamedBuffer> found = lanes.model.buffers(), expected = first.model.buffers();
  for (size_t i = 0; i < found.size(); ++i) {
    CAPTURE(found[i].name);
    CHECK(download_as_double(found[i].tensor) == download_as_double(expected[i].tensor));
  }
  CHECK(download_as_double(found[0].tensor) != std::vector<double>(static_cast<size_t>(found[0].tensor.numel()), 0.0));
}

TEST_CASE("lanes in 16 bits train, and an overflow in one of them skips the step of all", "[training][lanes][precision]") {
  for (const DType precision : {DType::bf16, DType::f16}) {
    CAPTURE(dtype_name(precision));
    Training t({.precision = precision, .lanes = 4, .dropout = 0});
    double first = 0, last = 0;
    for (int i = 0; i < 12; ++i) {
      t.step.reset_sums();
      t.step.run(stripes(0));
      (i == 0 ? first : last) = t.step.read_sums().loss / rows;
    }
    CHECK(last < 0.8 * first);
    CHECK(t.state(StepState::skipped_steps) == 0);
    // What is computed with is the rounded copy of the master.
    const Parameter& p = t.model.head().weight;
    CHECK(download_as_double(p.compute()) ==
          download_as_double(upload_from_double(p.shape(), download_as_double(p.master()), precision, Device::cpu)));
  }
  // Class 0 weighs so much that its gradients overflow. All of it is in the last lane.
  const LossOptions heavy = {.class_weights = {1e9, 1}, .cross_entropy = {}};
  Training t({.precision = DType::f16, .lanes = 4, .loss = heavy, .dropout = 0});
  Batch batch = stripes(0);
  batch.labels = Tensor::of<int32_t>({rows}, {1, 1, 1, 1, 1, 1, 1, 0});
  const std::vector<double> before = t.weights();
  t.step.run(batch);
  CHECK(t.weights() == before);
  CHECK(t.state(StepState::skipped_steps) == 1);
  CHECK(t.state(StepState::loss_scale) == 512);
  batch.labels = Tensor::of<int32_t>({rows}, {1, 1, 1, 1, 1, 1, 1, 1});
  t.step.run(batch);
  CHECK(t.weights() != before);
}

TEST_CASE("a replayed lane makes the same bytes as one whose kernels are started one by one", "[training][lanes][cuda-sim]") {
  const auto trained = [](bool capture) {
    Training t({.lanes = 2, .batch_statistics = true, .capture = capture, .device = cuda_under_test()});
    for (uint64_t i = 0; i < 3; ++i) t.step.run(stripes(i));
    CHECK(t.step.captured().replays() == capture);
    std::vector<double> all = t.weights();
    for (const NamedBuffer& b : t.model.buffers()) {
      const std::vector<double> some = download_as_double(b.tensor);
      all.insert(all.end(), some.begin(), some.end());
    }
    all.push_back(t.step.read_sums().loss);
    return all;
  };
  CHECK(trained(true) == trained(false));
}

TEST_CASE("lanes that processes share make the same bytes on any number of them", "[training][lanes][comm][slow]") {
  struct Row {
    DType precision;
    bool batch_statistics;
    double scale;  // of the loss
  };
  // In the last row all steps overflow.
  for (const Row& row :
       {Row{DType::f32, true, 1}, Row{DType::bf16, false, 1}, Row{DType::f16, false, 1024}, Row{DType::f16, false, 0x1p60}}) {
    CAPTURE(dtype_name(row.precision));
    // Weights, statistics, step state and sums of each process.
    const auto trained = [&](Communicator& ranks, int64_t bucket_bytes) {
      Training t({.precision = row.precision,
                  .lanes = 4,
                  .loss = {.class_weights = {4, 1}, .cross_entropy = {.norm = ClassWeightNorm::sum_of_weights}},
                  .scale = row.scale,
                  .batch_statistics = row.batch_statistics,
                  .ranks = &ranks,
                  .bucket_bytes = bucket_bytes});
      for (uint64_t i = 0; i < 2; ++i) {
        const int64_t sent = ranks.bytes_sent(), predicted = t.step.bytes_per_step();
        t.step.run(part_of_rank(stripes(i), ranks));
        DURA_CHECK(ranks.bytes_sent() - sent == predicted, "sent ", ranks.bytes_sent() - sent, " bytes, predicted ", predicted);
      }
      t.step.share_statistics();
      std::vector<double> all = t.adam.read_state();
      const std::vector<double> weights = t.weights();
      all.insert(all.end(), weights.begin(), weights.end());
      for (const NamedBuffer& b : t.model.buffers()) {
        const std::vector<double> some = download_as_double(b.tensor);
        all.insert(all.end(), some.begin(), some.end());
      }
      const TrainSums sums = t.step.read_sums_of_all();
      all.insert(all.end(), {sums.loss, sums.weighted_loss, static_cast<double>(sums.images)});
      all.insert(all.end(), sums.confusion.begin(), sums.confusion.end());
      return all;
    };
    const std::vector<double> expected = trained(alone(), 0);
    CHECK(expected[StepState::skipped_steps] == (row.scale > 1e6 ? 2 : 0));
    // All gradients behind backward, in buckets while it goes on, and each parameter for itself.
    for (const auto& [size_of_job, bucket_bytes] : {std::pair{2, 0}, {2, 1 << 20}, {4, 0}, {4, 1 << 16}, {4, 1}}) {
      std::vector<std::vector<double>> found(static_cast<size_t>(size_of_job));
      const std::vector<std::string> errors =
          on_ranks(size_of_job, {.longest_delay_us = 100, .timeout_s = 300},
                   [&, bytes = bucket_bytes](Communicator& ranks) { found[static_cast<size_t>(ranks.rank())] = trained(ranks, bytes); });
      for (size_t r = 0; r < found.size(); ++r) {
        CAPTURE(size_of_job, bucket_bytes, r);
        CHECK(errors[r] == "");
        CHECK((found[r] == expected));
      }
    }
  }
}
