// A captured step on a CUDA device: planned, run twice, captured, and replayed from then on, with the results of the same step
// without capture, bit for bit; and training that follows the CPU's.
#include "tests/support/catch.h"

#include <cmath>
#include <limits>

#include "engine/devices/cuda_devices.h"
#include "engine/optim/adam.h"
#include "engine/plan/captured_step.h"
#include "tests/support/cuda_under_test.h"
#include "tests/support/log_lines.h"
#include "tests/engine/op_harness.h"

using namespace dura;
using namespace dura::optest;
using dura::test::cuda_under_test;
using dura::test::reorder_device;

namespace {

constexpr int64_t batch = 4, size = 10, channels = 8, classes = 3;

Array normal(const Shape& s, uint64_t key, double offset = 0, double scale = 0.5) {
  Array a(s);
  Random r(key);
  for (double& x : a.v) x = offset + scale * r.normal();
  return a;
}

// Two units with a residual between them, pooling, dropout, dense layer, loss, Adam: every kind of node.
class SmallNet {
 public:
  SmallNet(Device device, DType compute, bool scaled = false)
      : column_{.device = device, .dtype = compute},
        w1_("w1", {channels, 3, 3, 3}, compute, device),
        gamma1_("gamma1", {channels}, DType::f32, device),
        beta1_("beta1", {channels}, DType::f32, device),
        w2_("w2", {channels, 3, 3, channels}, compute, device),
        gamma2_("gamma2", {channels}, DType::f32, device),
        beta2_("beta2", {channels}, DType::f32, device),
        head_("head", {classes, channels}, compute, device),
        bias_("bias", {classes}, compute, device) {
    uint64_t key = 20;
    for (Parameter* p : parameters()) p->assign(values(p->shape(), ++key, p == &gamma1_ || p == &gamma2_ ? 1 : 0));
    images_ = column_.tensor(normal({batch, size, size, 3}, 1));
    labels_ = on_device(Tensor::of<int32_t>({batch}, {0, 2, 1, 2}));
    keys_ = on_device(Tensor::of<int32_t>({batch, 2}, {1, 2, 3, 4, 5, 6, 7, 8}));
    sums_ = Tensor::zeros({2 + classes * classes}, DType::f64, device);
    for (Tensor* t : {&mean1_, &mean2_}) *t = Tensor::zeros({channels}, DType::f32, device);
    for (Tensor* t : {&variance1_, &variance2_}) *t = column_.stat_tensor(normal({channels}, 9, 1, 0));
    adam_ = std::make_unique<Adam>(parameters(), AdamOptions{.lr = 0.01, .clip_norm = 0.5, .weight_decay = 0.01},
                                   LossScalerOptions{.enabled = scaled, .initial_scale = 1024});
  }
  std::vector<Parameter*> parameters() { return {&w1_, &gamma1_, &beta1_, &w2_, &gamma2_, &beta2_, &head_, &bias_}; }

  void step() {
    Backend& b = backend(column_.device);
    adam_->begin_step();
    Tape tape;
    const Var x = conv_bn_act(images_, w1_.var(), {.stride = 1, .padding = 1}, norm(gamma1_, beta1_, mean1_, variance1_));
    const Var y = conv_bn_act(x, w2_.var(), {.stride = 1, .padding = 1}, norm(gamma2_, beta2_, mean2_, variance2_), x);
    const Var features = dropout(global_mean(max_pool2d(y, {})), 0.25, 7, keys_);
    const CrossEntropy ce = cross_entropy(linear(features, head_.var(), bias_.var()), labels_);
    b.add_metrics(ce.probabilities, labels_, ce.loss.value(), sums_);
    tape.backward(scale_loss(ce.loss, adam_->state()));
    adam_->step();
  }
  // Everything that a step changes.
  std::vector<double> everything() {
    std::vector<double> all = adam_->read_state();
    const auto append = [&](const Tensor& t) {
      const Array a = to_array(t);
      all.insert(all.end(), a.v.begin(), a.v.end());
    };
    for (Parameter* p : parameters()) append(p->master()), append(p->compute());
    for (const Tensor& t : {mean1_, variance1_, mean2_, variance2_, sums_}) append(t);
    return all;
  }
  // The mean loss since the last call.
  double take_loss() {
    const double loss = to_array(sums_)[1] / batch;
    backend(column_.device).fill(sums_, 0);
    return loss;
  }
  const Tensor& images() const { return images_; }
  const Adam& adam() const { return *adam_; }
  void set_learning_rate(double rate) { adam_->set_learning_rate(rate); }
  Array weights() const { return to_array(w1_.master()); }

 private:
  Tensor values(const Shape& s, uint64_t key, double offset) const {
    return Tensor::of<double>(s, normal(s, key, offset, 1 / std::sqrt(static_cast<double>(s.numel()) / static_cast<double>(s[0]) + 1)).v);
  }
  Tensor on_device(const Tensor& host) const {
    const Tensor t = Tensor::empty(host.shape(), host.dtype(), column_.device);
    backend(column_.device).upload(host.raw(), t);
    return t;
  }
  BatchNormArgs norm(Parameter& gamma, Parameter& beta, const Tensor& mean, const Tensor& variance) {
    return {.gamma = gamma.var(),
            .beta = beta.var(),
            .running_mean = mean,
            .running_variance = variance,
            .mode = BatchNormMode::batch_statistics};
  }

  Column column_;
  Parameter w1_, gamma1_, beta1_, w2_, gamma2_, beta2_, head_, bias_;
  Tensor images_, labels_, keys_, sums_, mean1_, variance1_, mean2_, variance2_;
  std::unique_ptr<Adam> adam_;
};

}  // namespace

TEST_CASE("a captured and replayed step equals the step without capture, bit for bit, in any order the device may take",
          "[cuda-sim][step][small-step]") {
  for (const DType dtype : {DType::f32, DType::f16}) {
    SmallNet captured(cuda_under_test(), dtype, true), eager(cuda_under_test(), dtype, true);
    CapturedStep step(cuda_under_test(), [&] { captured.step(); });
    for (uint64_t i = 0; i < 6; ++i) {
      step.run();
      eager.step();
      CHECK(step.replays() == (i >= 2));
      CHECK(captured.everything() == eager.everything());
      reorder_device(i);
    }
    reorder_device(0);
    CHECK(step.measured_peak() == step.predicted_peak());
    CHECK(step.predicted_peak() > 0);
  }
}

TEST_CASE("memory is flat while a captured step is replayed", "[cuda-sim][step][memory]") {
  SmallNet net(cuda_under_test(), DType::f32);
  CapturedStep step(cuda_under_test(), [&] { net.step(); });
  for (int i = 0; i < 3; ++i) step.run();
  const MemoryStatistics first = device_pool(cuda_under_test())->statistics();
  for (int i = 0; i < 3; ++i) step.run();
  const MemoryStatistics later = device_pool(cuda_under_test())->statistics();
  CHECK(later.in_use == first.in_use);
  CHECK(later.reserved == first.reserved);
  CHECK(later.allocations == first.allocations);
}

TEST_CASE("a step that reads device memory on the host is refused, and one that cannot be captured goes on without", "[cuda-sim][step]") {
  const Tensor metric = Tensor::zeros({1}, DType::f64, cuda_under_test());
  CapturedStep reads(cuda_under_test(), [&] {
    double host = 0;
    backend(cuda_under_test()).download(metric, &host);
  });
  CHECK_THROWS_WITH(reads.run(), Catch::Contains("planning"));
  // What the plan cannot see, capture finds. Each run adds one.
  const Tensor one = Tensor::zeros({1}, DType::f64, cuda_under_test());
  backend(cuda_under_test()).fill(one, 1);
  CapturedStep allocates(cuda_under_test(),
                         [&] {
                           backend(cuda_under_test()).add(metric, one, metric);
                           cuda::driver_of(cuda_under_test()).release(cuda::driver_of(cuda_under_test()).allocate(64));
                         },
                         {.name = "this step"});
  const test::LogLines said;
  for (int i = 0; i < 5; ++i) allocates.run();
  CHECK_FALSE(allocates.replays());
  CHECK(to_array(metric)[0] == 5);
  REQUIRE(said.lines.size() == 1);
  CHECK_THAT(said.lines[0], Catch::Contains("this step cannot be captured and goes on without") && Catch::Contains("900"));
}

TEST_CASE("a loss or statistics of a batch that are not finite skip their step, whatever the gradients say", "[cuda-sim][step][scaler]") {
  // A card's ReLU may make 0 of what is not a number: here the gradients are fine from the beginning.
  Parameter p("p", {4}, DType::f16, cuda_under_test());
  Adam adam({&p}, {.lr = 0.01}, {.enabled = true, .initial_scale = 1024});
  Backend& b = backend(cuda_under_test());
  const auto stat = [&](double value) {
    const Tensor t = Tensor::empty({8}, DType::f32, cuda_under_test());
    b.fill(t, value);
    return t;
  };
  const auto skipped_by = [&](double loss, double mean) {
    const double before = adam.read_state()[StepState::skipped_steps];
    adam.begin_step();
    b.fill(p.gradient()->target().tensor, 1);
    scale_loss(Var(stat(loss)), adam.state());
    b.update_running_statistics({.mean = stat(mean), .variance = stat(1), .invstd = stat(1), .scale = stat(1)}, 10,
                                {.gamma = stat(1), .beta = stat(0), .running_mean = stat(0), .running_variance = stat(1)});
    adam.step();
    return adam.read_state()[StepState::skipped_steps] > before;
  };
  constexpr double infinity = std::numeric_limits<double>::infinity();
  CHECK_FALSE(skipped_by(1, 1));
  CHECK(skipped_by(infinity, 1));
  CHECK(skipped_by(1, infinity));
  CHECK(skipped_by(1, std::numeric_limits<double>::quiet_NaN()));
  CHECK_FALSE(skipped_by(1, 1));
  // Other processes hear of it by the gradients alone: those of the logits say so. The loss stays what it is, for the epoch's mean.
  const auto gradient_after = [&](double mean) {
    adam.begin_step();
    b.fill(p.gradient()->target().tensor, 1);
    b.update_running_statistics({.mean = stat(mean), .variance = stat(1), .invstd = stat(1), .scale = stat(1)}, 10,
                                {.gamma = stat(1), .beta = stat(0), .running_mean = stat(0), .running_variance = stat(1)});
    const Tensor labels = Tensor::empty({4}, DType::i32, cuda_under_test());
    const int32_t of_rows[] = {0, 1, 1, 0};
    b.upload(of_rows, labels);
    Tape tape;
    const Var logits = Var::leaf(Tensor::zeros({4, 2}, DType::f32, cuda_under_test()));
    const Var loss = cross_entropy(logits, labels).loss;
    tape.backward(scale_loss(loss, adam.state()));
    const double gradient = to_array(logits.gradient()->value())[0];
    CHECK(to_array(loss.value())[0] == Approx(std::log(2)));
    adam.step();
    return gradient;
  };
  CHECK(std::isnan(gradient_after(infinity)));
  CHECK(std::isfinite(gradient_after(1)));
  // As one graph with its finish kernel: an infinite image of a layer that hands out zeros.
  const auto fused_with = [&](double pixel) {
    const double before = adam.read_state()[StepState::skipped_steps];
    adam.begin_step();
    b.fill(p.gradient()->target().tensor, 1);
    const Tensor images = Tensor::zeros({2, 4, 4, 8}, DType::f16, cuda_under_test());
    b.fill(images, pixel);
    const Tensor filter = Tensor::zeros({8, 1, 1, 8}, DType::f16, cuda_under_test());
    b.fill(filter, 1);
    conv_bn_act(Var(images), Var(filter), {},
                {.gamma = Var(stat(1)),
                 .beta = Var(stat(0)),
                 .running_mean = stat(0),
                 .running_variance = stat(1),
                 .mode = BatchNormMode::batch_statistics});
    adam.step();
    return adam.read_state()[StepState::skipped_steps] > before;
  };
  CHECK_FALSE(fused_with(1));
  CHECK(fused_with(infinity));
}

TEST_CASE("a new learning rate does not wait for the device", "[cuda-sim][step]") {
  SmallNet net(cuda_under_test(), DType::f32);
  net.step();
  const std::vector<double> before = net.adam().read_state();
  {
    const DryRun dry(cuda_under_test());  // refuses to read a tensor
    net.set_learning_rate(0.5);
    REQUIRE(dry.calls().size() == 1);
    CHECK(dry.calls()[0].kernel == "upload");
    CHECK(dry.calls()[0].output == Shape{1});
  }
  net.set_learning_rate(0.25);
  std::vector<double> after = net.adam().read_state();
  CHECK(after[StepState::learning_rate] == 0.25);
  after[StepState::learning_rate] = before[StepState::learning_rate];
  CHECK(after == before);
}

TEST_CASE("twenty steps of training on the simulated CUDA device follow the CPU's in f32", "[cuda-sim][step]") {
  SmallNet cpu(Device::cpu, DType::f32), simulated(cuda_under_test(), DType::f32);
  CapturedStep cpu_step(Device::cpu, [&] { cpu.step(); }), simulated_step(cuda_under_test(), [&] { simulated.step(); });
  double first = 0, last = 0;
  for (int i = 0; i < 20; ++i) {
    cpu_step.run();
    simulated_step.run();
    last = cpu.take_loss();
    if (i == 0) first = last;
    CHECK(std::abs(simulated.take_loss() - last) <= 1e-5 * std::max(1.0, last));
  }
  CHECK(last < 0.8 * first);
}

TEST_CASE("an overflow in f16 on the simulated CUDA device skips its step and halves the scale, also in a replay",
          "[cuda-sim][step][scaler]") {
  SmallNet net(cuda_under_test(), DType::f16, true);
  CapturedStep step(cuda_under_test(), [&] { net.step(); });
  for (int i = 0; i < 4; ++i) step.run();
  REQUIRE(step.replays());
  CHECK(net.adam().read_state()[StepState::step_count] == 4);
  const Array weights = net.weights();
  const Array good = to_array(net.images());
  backend(cuda_under_test()).fill(net.images(), std::numeric_limits<double>::infinity());
  step.run();
  CHECK(net.weights().v == weights.v);
  CHECK(net.adam().read_state()[StepState::loss_scale] == 512);
  CHECK(net.adam().read_state()[StepState::skipped_steps] == 1);
  CHECK(net.adam().read_state()[StepState::step_count] == 4);
}
