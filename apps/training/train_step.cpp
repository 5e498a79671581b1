#include "apps/training/train_step.h"

#include "engine/core/host_values.h"

namespace dura {

TrainStep::TrainStep(Classifier& model, Adam& adam, const LossOptions& loss, const Shape& images, int first_stage, const Shape& features,
                     bool capture)
    : model_(model), adam_(adam), loss_options_(loss.cross_entropy), first_stage_(first_stage) {
  const TensorOptions& t = model.options().backbone.tensors;
  const auto K = static_cast<int64_t>(model.classes().size());
  DURA_CHECK(loss.class_weights.empty() || static_cast<int64_t>(loss.class_weights.size()) == K,
             "class weights: ", loss.class_weights.size(), " for ", K, " classes");
  in_.input =
      first_stage == 0 ? Tensor::zeros(images, DType::u8, t.device, "images") : Tensor::zeros(features, t.compute, t.device, "features");
  const int64_t batch = in_.input.shape()[0];
  in_.labels = Tensor::zeros({batch}, DType::i32, t.device, "labels");
  in_.row_keys = Tensor::zeros({batch, 2}, DType::i32, t.device, "row keys");
  if (!loss.class_weights.empty()) {
    class_weights_ = upload_from_double({K}, loss.class_weights, stat_dtype(t.compute), t.device, "class weights");
  }
  sums_ = Tensor::zeros({2 + K * K}, DType::f64, t.device, "metric sums");
  step_ = std::make_unique<CapturedStep>(
      t.device, [this] { body(in_); },
      CapturedStepOptions{.capture = capture, .batch = batch, .body_of_batch = [this](int64_t n) { body(inputs_of_batch(n)); }});
}

TrainStep::Inputs TrainStep::inputs_of_batch(int64_t batch) const {
  const Shape& s = in_.input.shape();
  const Device device = in_.input.device();
  return {Tensor::empty({batch, s[1], s[2], s[3]}, in_.input.dtype(), device), Tensor::empty({batch}, DType::i32, device),
          Tensor::empty({batch, 2}, DType::i32, device)};
}

void TrainStep::body(const Inputs& in) {
  Backend& b = backend(in.input.device());
  adam_.begin_step();
  Tape tape;
  const Tensor x = first_stage_ == 0 ? model_.normalize(in.input) : in.input;
  const Var logits = first_stage_ < ResNet::stages ? model_.classify(model_.backbone().run(x, first_stage_), in.row_keys)
                                                   : model_.classify(x, in.row_keys);
  const CrossEntropy result = cross_entropy(logits, in.labels, class_weights_, loss_options_);
  tape.backward(scale_loss(result.loss, adam_.state()));
  adam_.step();
  b.add_metrics(result.probabilities, in.labels, result.loss.value(), sums_);
}

void TrainStep::load_common(const Batch& batch) {
  Backend& b = backend(in_.input.device());
  DURA_CHECK(batch.labels.shape() == in_.labels.shape(), "train step: a batch of ", batch.labels.shape(), " rows, planned for ",
             in_.labels.shape());
  b.upload(batch.labels.raw(), in_.labels);
  b.upload(batch.row_keys.raw(), in_.row_keys);
  images_ += in_.labels.numel();
}

void TrainStep::run(const Batch& batch) {
  DURA_CHECK(first_stage_ == 0 && batch.images.shape() == in_.input.shape(), "train step: images ", describe(batch.images),
             " for an input ", describe(in_.input));
  // Images first: they can travel while the step before this one runs, and what comes after waits for the same slots.
  backend(in_.input.device()).upload(batch.images.raw(), in_.input);
  load_common(batch);
  step_->run();
}

void TrainStep::run(const Batch& batch, const Tensor& features) {
  DURA_CHECK(first_stage_ > 0 && features.shape() == in_.input.shape(), "train step: features ", describe(features), " for an input ",
             describe(in_.input));
  load_common(batch);
  backend(in_.input.device()).copy(features, in_.input);
  step_->run();
}

TrainSums TrainStep::read_sums() const {
  std::vector<double> host(static_cast<size_t>(sums_.numel()));
  backend(sums_.device()).download(sums_, host.data());
  TrainSums s{.images = images_, .weighted_loss = host[0], .loss = host[1], .confusion = {}};
  for (size_t i = 2; i < host.size(); ++i) s.confusion.push_back(static_cast<int64_t>(host[i]));
  return s;
}

void TrainStep::reset_sums() {
  backend(sums_.device()).fill(sums_, 0);
  images_ = 0;
}

}  // namespace dura
