#include "engine/devices/self_test.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/core/ops.h"
#include "engine/base/random.h"

namespace dura::cuda {
namespace {

constexpr int64_t batch = 2, size = 8, channels = 16, classes = 4;

struct Result {
  const char* what;
  std::vector<float> values;
};

std::vector<Result> step(Device device) {
  Backend& b = backend(device);
  uint64_t key = 0;
  const auto normal = [&](const Shape& shape) {
    std::vector<float> host(static_cast<size_t>(shape.numel()));
    Random random(++key);
    for (float& v : host) v = static_cast<float>(random.normal());
    const Tensor t = Tensor::empty(shape, DType::f32, device, "self test");
    b.upload(host.data(), t);
    return t;
  };
  const auto host = [&](const Tensor& t) {
    std::vector<float> values(static_cast<size_t>(t.numel()));
    b.download(t, values.data());
    return values;
  };
  const Var x = Var::leaf(normal({batch, size, size, channels})), w = Var::leaf(normal({channels, 3, 3, channels})),
            gamma = Var::leaf(normal({channels})), beta = Var::leaf(normal({channels})), head = Var::leaf(normal({classes, channels})),
            bias = Var::leaf(normal({classes}));
  const Tensor labels = Tensor::empty({batch}, DType::i32, device, "self test");
  const std::vector<int32_t> label = {1, 3};
  b.upload(label.data(), labels);
  Tape tape;
  const Var y = conv_bn_act(x, w, {.stride = 1, .padding = 1},
                            {.gamma = gamma,
                             .beta = beta,
                             .running_mean = Tensor::zeros({channels}, DType::f32, device),
                             .running_variance = Tensor::zeros({channels}, DType::f32, device),
                             .mode = BatchNormMode::batch_statistics},
                            x);
  const CrossEntropy ce = cross_entropy(linear(global_mean(max_pool2d(y, {})), head, bias), labels);
  tape.backward(ce.loss);
  return {{"the loss", host(ce.loss.value())},
          {"the gradient of a convolution's input", host(x.grad())},
          {"the gradient of a filter", host(w.grad())},
          {"the gradient of a BatchNorm", host(gamma.grad())},
          {"the gradient of a dense layer", host(head.grad())}};
}

}  // namespace

std::string self_test(Device device, double tolerance) {
  try {
    const std::vector<Result> expected = step(Device::cpu), found = step(device);
    for (size_t i = 0; i < expected.size(); ++i) {
      double largest = 0, difference = 0;
      for (size_t j = 0; j < expected[i].values.size(); ++j) {
        const double e = static_cast<double>(expected[i].values[j]), f = static_cast<double>(found[i].values[j]);
        largest = std::max(largest, std::abs(e));
        difference = std::isfinite(f) ? std::max(difference, std::abs(f - e)) : INFINITY;
        if (!std::isfinite(f)) break;
      }
      if (!(difference <= tolerance * largest))
        return concat(device_name(device), " does not compute what the CPU computes: ", expected[i].what, " differs by ", difference,
                      ", where the largest value is ", largest);
    }
    return "";
  } catch (const Error& e) {
    return concat(device_name(device), " failed a first small step: ", e.what());
  }
}

}  // namespace dura::cuda
