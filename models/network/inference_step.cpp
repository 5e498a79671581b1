#include "models/network/inference_step.h"

#include "layers/module.h"

namespace dura {

InferenceStep::InferenceStep(Classifier& model, const Shape& images, bool capture, bool keep_features)
    : model_(model), folded_(model.backbone().units()) {
  const TensorOptions& t = model.options().backbone.tensors;
  images_ = Tensor::zeros(images, DType::u8, t.device, "images");
  logits_ = Tensor::zeros({images[0], static_cast<int64_t>(model.classes().size())}, t.compute, t.device, "logits");
  if (keep_features) features_ = Tensor::zeros(model.backbone().output_shape(images), t.compute, t.device, "features");
  const auto body = [&model, this](const Tensor& input, const Tensor& output, const Tensor& features) {
    const NoGradScope no_grad(model);
    const FoldedUnits::Use folded(folded_);
    const Var behind = model.backbone().run(model.normalize(input));
    if (features.defined()) backend(output.device()).copy(behind.value(), features);
    backend(output.device()).copy(model.classify(behind).value(), output);
  };
  const auto body_of_batch = [this, body](int64_t n) {
    body(of_batch(images_, n), of_batch(logits_, n), features_.defined() ? of_batch(features_, n) : Tensor());
  };
  step_ = std::make_unique<CapturedStep>(
      t.device, [this, body] { body(images_, logits_, features_); },
      CapturedStepOptions{
          .name = "inference", .capture = capture, .batch = images[0], .body_of_batch = body_of_batch, .after_replay = [] {}});
}

const Tensor& InferenceStep::run(const Tensor& images) {
  DURA_CHECK(images.shape() == images_.shape() && images.dtype() == DType::u8, "inference: images ", describe(images), " for an input ",
             describe(images_));
  backend(images_.device()).upload(images.raw(), images_);
  folded_.refresh();
  step_->run();
  return logits_;
}

}  // namespace dura
