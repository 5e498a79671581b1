// Kernels of the CUDA backend that are no differentiable ops (those are in the op table), against the CPU's.
#include "tests/support/catch.h"

#include <cmath>

#include "engine/devices/self_test.h"
#include "engine/optim/adam.h"
#include "tests/support/cuda_under_test.h"
#include "tests/engine/op_harness.h"

using namespace dura;
using namespace dura::optest;
using dura::test::cuda_under_test;
using dura::test::reorder_device;

namespace {

const std::vector<DType> computed = {DType::f32, DType::f16, DType::bf16};

Tensor random_tensor(const Shape& s, DType dtype, uint64_t key, double offset = 0) {
  Array a(s);
  Random r(key);
  for (double& x : a.v) x = offset + r.normal();
  Column column;
  column.dtype = dtype;
  return column.tensor(a);
}

Tensor moved(const Tensor& host) {
  const Tensor t = Tensor::empty(host.shape(), host.dtype(), cuda_under_test());
  backend(cuda_under_test()).upload(host.raw(), t);
  return t;
}

std::vector<uint8_t> bytes_of(const Tensor& t) {
  std::vector<uint8_t> bytes(t.bytes());
  backend(t.device()).download(t, bytes.data());
  return bytes;
}

// Calls f(backend, how to bring a tensor there, how to make one there) on both devices and gives the two results.
template <class F>
std::pair<Tensor, Tensor> on_both(const F& f) {
  const auto stay = [](const Tensor& t) { return t; };
  const auto make = [](Device device) { return [device](const Shape& s, DType t) { return Tensor::empty(s, t, device); }; };
  return {f(backend(cuda_under_test()), moved, make(cuda_under_test())), f(backend(Device::cpu), stay, make(Device::cpu))};
}

void expect_near(const std::pair<Tensor, Tensor>& found_and_expected, DType dtype, Accuracy accuracy) {
  const std::string wrong = compare(to_array(found_and_expected.first), to_array(found_and_expected.second), accuracy,
                                    {.device = cuda_under_test(), .dtype = dtype});
  INFO(wrong);
  CHECK(wrong.empty());
}

}  // namespace

TEST_CASE("the CUDA backend's channel statistics keep their digits far from zero", "[cuda-sim]") {
  for (const Shape& s : {Shape{7, 31, 13, 3}, Shape{2, 1, 1, 65}})
    for (const int which : {0, 1}) {
      const Tensor x = random_tensor(s, DType::f32, 9, 1000);
      const auto both = on_both([&](Backend& b, const auto& there, const auto& make) {
        const Tensor mean = make({s[3]}, DType::f32), variance = make({s[3]}, DType::f32);
        b.channel_statistics(there(x), mean, variance);
        return which ? variance : mean;
      });
      const Array found = to_array(both.first), expected = to_array(both.second);
      for (int64_t k = 0; k < s[3]; ++k) CHECK(found[k] == Approx(expected[k]).epsilon(1e-4));
    }
}

TEST_CASE("the CUDA backend's sums over many tiles of rows are the CPU's, with and without the mask of a ReLU", "[cuda-sim]") {
  for (const Shape& s : {Shape{4, 31, 29, 40}, Shape{2, 40, 40, 13}})
    for (const bool relu : {false, true}) {
      const Tensor dy = random_tensor(s, DType::f32, 3), y = random_tensor(s, DType::f32, 4);
      expect_near(on_both([&](Backend& b, const auto& there, const auto& make) {
                    const Tensor sum = make({s[3]}, DType::f32);
                    b.mask_and_sum(there(dy), there(y), relu, make(s, DType::f32), sum);
                    return sum;
                  }),
                  DType::f32, Accuracy::product);
    }
}

TEST_CASE("the CUDA backend's u8 images are those of the CPU, byte for byte", "[cuda-sim][images]") {
  std::vector<uint8_t> pixels(2 * 23 * 17 * 3);
  for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<uint8_t>(i * i * 31 + i / 7);
  const Tensor x = Tensor::of<uint8_t>({2, 23, 17, 3}, pixels);
  const Tensor matrices = Tensor::of<float>({2, 6}, {0.9f, 0.3f, 2, -0.3f, 0.9f, 8, 1, 0, 0, 0, -1, 16});
  const Tensor parameters = Tensor::of<float>({2, 3}, {1.6f, 1.1f, 0.9f, 0.4f, 1, 1});
  const auto warped = on_both([&](Backend& b, const auto& there, const auto& make) {
    const Tensor y = make({2, 19, 20, 3}, DType::u8);
    b.warp(there(x), {}, there(matrices), y);
    return y;
  });
  CHECK(bytes_of(warped.first) == bytes_of(warped.second));
  // Rows name their pictures. On the CPU a number of none is an error; a kernel cannot throw and makes a black picture.
  const auto row_of = [&](int32_t picture) {
    const Tensor y = moved(Tensor::of<uint8_t>({1, 1, 1, 3}, std::vector<uint8_t>(3, 99)));
    backend(cuda_under_test())
        .warp(moved(x), moved(Tensor::of<int32_t>({1}, std::vector{picture})), moved(Tensor::of<float>({1, 6}, {1, 0, 0, 0, 1, 0})), y);
    return bytes_of(y);
  };
  const auto first = pixels.begin(), second = first + 23 * 17 * 3;
  CHECK(row_of(0) == std::vector<uint8_t>(first, first + 3));
  CHECK(row_of(1) == std::vector<uint8_t>(second, second + 3));
  for (const int32_t none : {-1, 2, 1 << 30}) CHECK(row_of(none) == std::vector<uint8_t>(3, 0));
  const auto enhanced = on_both([&](Backend& b, const auto& there, const auto& make) {
    const Tensor y = make(x.shape(), DType::u8);
    b.enhance(there(x), there(parameters), y);
    return y;
  });
  CHECK(bytes_of(enhanced.first) == bytes_of(enhanced.second));
  const float mean[3] = {123.5f, 116.25f, 103.75f}, deviation[3] = {58.5f, 57.0f, 57.5f};
  for (const DType dtype : computed)
    for (const bool bgr : {false, true}) {
      const auto normalised = on_both([&](Backend& b, const auto& there, const auto& make) {
        const Tensor y = make(x.shape(), dtype);
        b.normalize(there(x), mean, deviation, bgr, y);
        return y;
      });
      CHECK(bytes_of(normalised.first) == bytes_of(normalised.second));
    }
}

TEST_CASE("the CUDA backend's Grad-CAM sum, metrics and softmax equal the CPU's", "[cuda-sim]") {
  for (const DType dtype : computed)
    for (const bool relu : {true, false}) {
      const Tensor a = random_tensor({2, 3, 5, 70}, dtype, 1), alpha = random_tensor({2, 70}, dtype, 2);
      expect_near(on_both([&](Backend& b, const auto& there, const auto& make) {
                    const Tensor y = make({2, 3, 5}, DType::f32);
                    b.weighted_channel_sum(there(a), there(alpha), relu, y);
                    return y;
                  }),
                  DType::f32, Accuracy::product);
    }
  const Tensor logits = random_tensor({5, 3}, DType::f32, 4), labels = Tensor::of<int32_t>({5}, {0, 2, 1, 1, 0}),
               sums = Tensor::zeros({2 + 9}, DType::f64, Device::cpu);
  expect_near(on_both([&](Backend& b, const auto& there, const auto& make) {
                const Tensor p = make({5, 3}, DType::f32), loss = make({1}, DType::f32), total = make(sums.shape(), DType::f64);
                b.copy(there(sums), total);
                const Tensor l = there(logits), label = there(labels);
                b.softmax(l, p);
                b.cross_entropy_forward(l, label, {}, {}, loss);
                b.add_metrics(p, label, loss, total);
                b.add_metrics(p, label, loss, total);
                return total;
              }),
              DType::f32, Accuracy::pointwise);
}

TEST_CASE("a label that is no class gives a loss of NaN on the CUDA backend", "[cuda-sim]") {
  const Tensor logits = moved(random_tensor({3, 2}, DType::f32, 4));
  for (const int32_t wrong : {-1, 2}) {
    const CrossEntropy ce = cross_entropy(Var::leaf(logits), moved(Tensor::of<int32_t>({3}, {0, wrong, 1})));
    CHECK(std::isnan(to_array(ce.loss.value())[0]));
  }
}

TEST_CASE("Adam with loss scaling takes the same steps on the CUDA backend as on the CPU, and skips the same overflow",
          "[cuda-sim][optim]") {
  const Shape shape{30, 10};
  for (const DType dtype : computed) {
    const auto both = on_both([&](Backend& b, const auto& there, const auto&) {
      Parameter p("p", shape, dtype, b.device());
      p.assign(random_tensor(shape, DType::f32, 1));
      Adam adam({&p}, {.lr = 0.01, .clip_norm = 0.01, .weight_decay = 0.1},
                {.enabled = true, .initial_scale = 1024, .dynamics = {.growth_interval = 2}});
      for (uint64_t step = 0; step < 6; ++step) {
        adam.begin_step();
        const Tensor g = random_tensor(shape, dtype, 10 + step);
        const GradTarget target = p.gradient()->target();
        b.copy(there(g), target.tensor);
        if (step == 3) b.fill(target.tensor, 1e5);  // infinite in f16 alone
        adam.step();
      }
      const std::vector<double> state = adam.read_state();
      CHECK(state[StepState::step_count] == (dtype == DType::f16 ? 5 : 6));
      CHECK(state[StepState::skipped_steps] == (dtype == DType::f16 ? 1 : 0));
      CHECK(state[StepState::loss_scale] == (dtype == DType::f16 ? 2048 : 8192));
      const Tensor result = Tensor::empty(shape, DType::f32, b.device());
      b.copy(p.master(), result);
      return result;
    });
    expect_near(both, DType::f32, Accuracy::pointwise);
  }
}

TEST_CASE("the self test passes on a CUDA backend that works, and names what differs and what fails", "[cuda-sim]") {
  CHECK(cuda::self_test(cuda_under_test()).empty());
  CHECK_THAT(cuda::self_test(cuda_under_test(), 0),
             Catch::Contains("does not compute what the CPU computes") && Catch::Contains("differs by"));
  cuda::sim::sim_driver().watch_graphs([](const cuda::Graph&) { fail("this library is broken"); });
  CHECK_THAT(cuda::self_test(Device::cuda_sim), Catch::Contains("failed a first small step: this library is broken"));
  cuda::sim::sim_driver().watch_graphs({});
}

TEST_CASE("the CUDA backend refuses to compute in f64, by name", "[cuda-sim]") {
  const Tensor x = Tensor::zeros({4}, DType::f64, cuda_under_test());
  CHECK_THROWS_WITH(relu(x), Catch::Contains("relu_forward") && Catch::Contains("f64"));
}

TEST_CASE("results of the CUDA backend are the same for every order that the simulated device may take", "[cuda-sim]") {
  for (const char* name : {"conv_bn_act (2,6,5,4)", "batch_norm batch", "cross_entropy (5", "global_mean", "linear (3", "cam_energy (3"})
    for (const OpCase& c : op_cases()) {
      if (c.name.rfind(name, 0) != 0) continue;
      const Column column{.device = cuda_under_test(), .dtype = DType::f32};
      const Drawn drawn = draw(c, DType::f32);
      const Run first = run(c, column, drawn);
      for (uint64_t seed = 1; seed < 4; ++seed) {
        reorder_device(seed);
        const Run again = run(c, column, drawn);
        INFO(c.name << " seed " << seed);
        CHECK(again.y.v == first.y.v);
        for (size_t i = 0; i < first.gradients.size(); ++i) CHECK(again.gradients[i].v == first.gradients[i].v);
      }
      reorder_device(0);
    }
}
