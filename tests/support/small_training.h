// ResNet-18 in training on small pictures that stay: a captured step with everything that a real one has.
#pragma once
#include <string>
#include <vector>

#include "engine/optim/adam.h"
#include "engine/plan/captured_step.h"
#include "models/network/classifier.h"

namespace dura::test {

class SmallTraining {
 public:
  SmallTraining(Device device, DType dtype, int64_t classes, bool capture = true)
      : device_(device),
        model_({.backbone = {.depth = 18, .tensors = {.compute = dtype, .device = device}}, .classes = names(classes)}),
        adam_(model_.parameters(), {.lr = 1e-3}, {.enabled = dtype == DType::f16, .initial_scale = 1024}),
        images_(Tensor::zeros({batch, size, size, 3}, DType::u8, device)),
        labels_(Tensor::zeros({batch}, DType::i32, device)),
        keys_(Tensor::zeros({batch, 2}, DType::i32, device)),
        loss_(Tensor::zeros({1}, DType::f32, device)),
        step_(device, [this] { body(); }, {.name = "a step of this test", .capture = capture}) {
    model_.set_training(true);
    std::vector<uint8_t> pixels(static_cast<size_t>(images_.numel()));
    for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<uint8_t>(i * 2654435761u >> 13);
    backend(device).upload(pixels.data(), images_);
    const std::vector<int32_t> labels = {0, 1, 1, 0};
    backend(device).upload(labels.data(), labels_);
  }
  void step() { step_.run(); }
  bool replays() const { return step_.replays(); }
  double loss() const { return download_as_double(loss_)[0]; }
  // Every value that training changes.
  std::vector<double> everything() {
    std::vector<double> all = adam_.read_state();
    const auto append = [&](const Tensor& t) {
      const std::vector<double> values = download_as_double(t);
      all.insert(all.end(), values.begin(), values.end());
    };
    for (Parameter* p : model_.parameters()) append(p->master());
    for (ConvBn* u : model_.backbone().units()) append(u->bn.running_mean), append(u->bn.running_variance);
    return all;
  }

 private:
  static constexpr int64_t batch = 4, size = 32;
  static std::vector<std::string> names(int64_t count) {
    std::vector<std::string> all;
    for (int64_t i = 0; i < count; ++i) all.push_back(std::string("class ") + std::to_string(i));
    return all;
  }
  void body() {
    adam_.minimise([&] {
      const CrossEntropy ce = cross_entropy(model_(model_.normalize(images_), keys_), labels_);
      backend(device_).copy(ce.loss.value(), loss_);
      return ce.loss;
    });
  }

  Device device_;
  Classifier model_;
  Adam adam_;
  Tensor images_, labels_, keys_, loss_;
  CapturedStep step_;
};

}  // namespace dura::test
