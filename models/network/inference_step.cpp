#include "models/network/inference_step.h"

#include "layers/module.h"

namespace dura {

InferenceStep::InferenceStep(Classifier& model, const Shape& images, bool capture) : model_(model) {
  const TensorOptions& t = model.options().backbone.tensors;
  images_ = Tensor::zeros(images, DType::u8, t.device, "images");
  logits_ = Tensor::zeros({images[0], static_cast<int64_t>(model.classes().size())}, t.compute, t.device, "logits");
  const auto body = [&model](const Tensor& input, const Tensor& output) {
    const NoGradScope no_grad(model);
    backend(output.device()).copy(model(model.normalize(input)).value(), output);
  };
  const auto body_of_batch = [this, body](int64_t n) { body(of_batch(images_, n), of_batch(logits_, n)); };
  step_ = std::make_unique<CapturedStep>(
      t.device, [this, body] { body(images_, logits_); },
      CapturedStepOptions{.name = "inference", .capture = capture, .batch = images[0], .body_of_batch = body_of_batch});
}

const Tensor& InferenceStep::run(const Tensor& images) {
  DURA_CHECK(images.shape() == images_.shape() && images.dtype() == DType::u8, "inference: images ", describe(images), " for an input ",
             describe(images_));
  backend(images_.device()).upload(images.raw(), images_);
  step_->run();
  return logits_;
}

}  // namespace dura
