// A captured step: planned without running, run in memory of a fixed size, and strict about doing the same work every time.
#include "tests/support/catch.h"

#include <algorithm>
#include <limits>
#include <memory>

#include "engine/core/ops.h"
#include "engine/optim/adam.h"
#include "engine/plan/captured_step.h"
#include "engine/base/random.h"

using namespace dura;

namespace {

constexpr int64_t batch = 3, size = 12, channels = 5, classes = 3;

Tensor random_tensor(const Shape& s, uint64_t key) {
  const Tensor t = Tensor::empty(s, DType::f32, Device::cpu);
  Random r(key);
  for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] = static_cast<float>(r.normal() * 0.5);
  return t;
}

// Convolution, BatchNorm, pooling, dropout, dense layer, loss, Adam: every kind of node and of kernel.
struct SmallNet {
  Parameter w{"w", {channels, 3, 3, 3}, DType::f32, Device::cpu}, gamma{"gamma", {channels}, DType::f32, Device::cpu},
      beta{"beta", {channels}, DType::f32, Device::cpu}, head{"head", {classes, channels}, DType::f32, Device::cpu},
      bias{"bias", {classes}, DType::f32, Device::cpu};
  Tensor running_mean = Tensor::zeros({channels}, DType::f32, Device::cpu), running_variance = random_tensor({channels}, 8);
  Tensor images = random_tensor({batch, size, size, 3}, 1), labels = Tensor::of<int32_t>({batch}, {0, 2, 1}),
         keys = Tensor::of<int32_t>({batch, 2}, {1, 2, 3, 4, 5, 6}), sums = Tensor::zeros({2 + classes * classes}, DType::f64, Device::cpu);
  std::unique_ptr<Adam> adam;

  SmallNet() {
    w.assign(random_tensor(w.shape(), 2));
    gamma.assign(random_tensor(gamma.shape(), 3));
    head.assign(random_tensor(head.shape(), 4));
    adam = std::make_unique<Adam>(std::vector<Parameter*>{&w, &gamma, &beta, &head, &bias}, AdamOptions{.lr = 0.01},
                                  LossScalerOptions{.enabled = true});
  }
  void step() {
    adam->begin_step();
    Tape tape;
    Var y = conv_bn_act(images, w.var(), {.stride = 1, .padding = 1},
                        {.gamma = gamma.var(),
                         .beta = beta.var(),
                         .running_mean = running_mean,
                         .running_variance = running_variance,
                         .mode = BatchNormMode::batch_statistics});
    y = dropout(global_mean(max_pool2d(y, {})), 0.3, 7, keys);
    const CrossEntropy ce = cross_entropy(linear(y, head.var(), bias.var()), labels);
    backend(Device::cpu).add_metrics(ce.probabilities, labels, ce.loss.value(), sums);
    tape.backward(scale_loss(ce.loss, adam->state()));
    adam->step();
  }
  // Everything that a step changes.
  std::vector<double> everything() const {
    std::vector<double> all = adam->read_state();
    for (const Tensor& t : {w.master(), gamma.master(), beta.master(), head.master(), bias.master(), running_mean, running_variance})
      all.insert(all.end(), t.data<float>(), t.data<float>() + t.numel());
    all.insert(all.end(), sums.data<double>(), sums.data<double>() + sums.numel());
    return all;
  }
};

MemoryStatistics pool() { return device_pool(Device::cpu)->statistics(); }

}  // namespace

TEST_CASE("planning a step changes nothing and counts its work", "[step]") {
  SmallNet net;
  const std::vector<double> before = net.everything();
  CapturedStep step(Device::cpu, [&] { net.step(); });
  const MemoryPlan plan = step.plan();
  CHECK(net.everything() == before);
  CHECK(plan.bytes > 0);
  CHECK(plan.bytes >= plan.live_peak);
  int64_t forward = 0, filter = 0;
  for (const KernelCall& k : step.kernels()) {
    if (k.kernel == "conv_forward") forward += k.macs;
    if (k.kernel == "conv_backward_filter") filter += k.macs;
    CHECK(k.kernel != "conv_backward_data");  // nobody wants the gradient of the images
  }
  CHECK(forward == batch * size * size * channels * 27);
  CHECK(filter == forward);
}

TEST_CASE("a captured step does bit for bit what the same step does without capture", "[step]") {
  SmallNet captured, eager;
  CapturedStep step(Device::cpu, [&] { captured.step(); });
  for (int i = 0; i < 4; ++i) {
    step.run();
    eager.step();
    CHECK(captured.everything() == eager.everything());
  }
}

TEST_CASE("memory is flat from the first step on, and the predicted peak is the measured one", "[step][memory]") {
  SmallNet net;
  CapturedStep step(Device::cpu, [&] { net.step(); });
  step.run();
  const MemoryStatistics first = pool();
  for (int i = 0; i < 5; ++i) step.run();
  CHECK(pool().in_use == first.in_use);
  CHECK(pool().reserved == first.reserved);
  CHECK(pool().peak == first.peak);
  CHECK(pool().allocations == first.allocations);
  CHECK(step.measured_peak() == step.predicted_peak());
  CHECK(step.predicted_peak() > 0);
}

TEST_CASE("what lies idle in the pool is given back before a step takes its arena", "[step][memory]") {
  SmallNet net;
  CapturedStep step(Device::cpu, [&] { net.step(); });
  Tensor::empty({25 << 20}, DType::f32, Device::cpu, "weights as they were loaded");
  CHECK(pool().reserved >= pool().in_use + (size_t{100} << 20));
  step.prepare();
  CHECK(pool().reserved == pool().in_use);
}

TEST_CASE("memory of steps without capture is flat from the second step on", "[step][memory]") {
  SmallNet net;
  net.step();
  const MemoryStatistics first = pool();
  for (int i = 0; i < 5; ++i) net.step();
  CHECK(pool().in_use == first.in_use);
  CHECK(pool().reserved == first.reserved);
}

TEST_CASE("a captured step that does other work than planned is stopped by name", "[step]") {
  int64_t extent = 4;
  bool more = false, less = false;
  Tensor kept;
  bool keep = false;
  CapturedStep step(Device::cpu, [&] {
    const Tensor a = Tensor::zeros({extent, 1000}, DType::f32, Device::cpu, "activation");
    if (!less) Tensor::zeros({8}, DType::f32, Device::cpu, "statistics");
    if (more) Tensor::zeros({7}, DType::f32, Device::cpu, "surprise");
    if (keep) kept = a;
  });
  step.run();
  more = true;
  CHECK_THROWS_WITH(step.run(), Catch::Contains("surprise") && Catch::Contains("planned"));
  more = false;
  less = true;
  CHECK_THROWS_WITH(step.run(), Catch::Contains("1 of the planned 2") && Catch::Contains("statistics"));
  less = false;
  extent = 5;
  CHECK_THROWS_WITH(step.run(), Catch::Contains("activation") && Catch::Contains("shapes"));
  extent = 4;
  step.run();  // an error is not the end
  keep = true;
  step.run();
  keep = false;
  CHECK_THROWS_WITH(step.run(), Catch::Contains("16000") && Catch::Contains("Copy"));
  kept = {};
  step.run();
}

TEST_CASE("a step that reads device memory on the host is found while planning", "[step]") {
  const Tensor metric = Tensor::of<double>({1}, {1.0});
  CapturedStep step(Device::cpu, [&] {
    double host = 0;
    backend(Device::cpu).download(metric, &host);
  });
  CHECK_THROWS_WITH(step.plan(), Catch::Contains("f64 (1)") && Catch::Contains("planning"));
}

TEST_CASE("an overflow inside of a captured step skips the update and halves the scale", "[step][scaler]") {
  SmallNet net;
  CapturedStep step(Device::cpu, [&] { net.step(); });
  step.run();
  const std::vector<float> before(net.w.master().data<float>(), net.w.master().data<float>() + net.w.master().numel());
  const float good = net.images.data<float>()[0];
  net.images.data<float>()[0] = std::numeric_limits<float>::infinity();
  step.run();
  CHECK(std::equal(before.begin(), before.end(), net.w.master().data<float>()));
  CHECK(net.adam->read_state()[StepState::loss_scale] == 32768);
  CHECK(net.adam->read_state()[StepState::step_count] == 1);
  net.images.data<float>()[0] = good;
  // The running statistics have met infinity, as they do in every framework; training on them is another matter.
  step.run();
  CHECK(net.adam->read_state()[StepState::step_count] == 2);
}
