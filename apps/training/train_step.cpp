#include "apps/training/train_step.h"

#include "engine/core/tensor.h"

namespace dura {

TrainStep::TrainStep(Classifier& model, Adam& adam, const LossOptions& loss, const Shape& input, int first_stage, bool capture)
    : model_(model), adam_(adam), loss_options_(loss.cross_entropy), first_stage_(first_stage) {
  const TensorOptions& t = model.options().backbone.tensors;
  const auto K = static_cast<int64_t>(model.classes().size());
  DURA_CHECK(loss.class_weights.empty() || static_cast<int64_t>(loss.class_weights.size()) == K,
             "class weights: ", loss.class_weights.size(), " for ", K, " classes");
  in_.input =
      first_stage == 0 ? Tensor::zeros(input, DType::u8, t.device, "images") : Tensor::zeros(input, t.compute, t.device, "features");
  const int64_t batch = input[0];
  in_.labels = Tensor::zeros({batch}, DType::i32, t.device, "labels");
  in_.row_keys = Tensor::zeros({batch, 2}, DType::i32, t.device, "row keys");
  if (!loss.class_weights.empty())
    class_weights_ = upload_from_double({K}, loss.class_weights, stat_dtype(t.compute), t.device, "class weights");
  sums_ = Tensor::zeros({2 + K * K}, DType::f64, t.device, "metric sums");
  const auto body_of_batch = [this](int64_t n) { body({of_batch(in_.input, n), of_batch(in_.labels, n), of_batch(in_.row_keys, n)}); };
  step_ = std::make_unique<CapturedStep>(
      t.device, [this] { body(in_); }, CapturedStepOptions{.capture = capture, .batch = batch, .body_of_batch = body_of_batch});
}

void TrainStep::body(const Inputs& in) {
  CrossEntropy result;
  adam_.minimise([&] {
    const Tensor x = first_stage_ == 0 ? model_.normalize(in.input) : in.input;
    const Var logits = model_.classify(model_.backbone().run(x, first_stage_), in.row_keys);
    result = cross_entropy(logits, in.labels, class_weights_, loss_options_);
    return result.loss;
  });
  backend(in.input.device()).add_metrics(result.probabilities, in.labels, result.loss.value(), sums_);
}

void TrainStep::run(const Batch& batch, const Tensor& features) {
  const Tensor& input = first_stage_ == 0 ? batch.images : features;
  DURA_CHECK(input.defined() && input.shape() == in_.input.shape() && batch.labels.shape() == in_.labels.shape(),
             "train step: an input of ", input.defined() ? describe(input) : "nothing", " and labels ", batch.labels.shape(),
             ", planned for ", describe(in_.input), " and ", in_.labels.shape());
  Backend& b = backend(in_.input.device());
  // Images first: they can travel while the step before this one runs, and what comes after waits for the same slots.
  if (first_stage_ == 0) b.upload(input.raw(), in_.input);
  b.upload(batch.labels.raw(), in_.labels);
  b.upload(batch.row_keys.raw(), in_.row_keys);
  if (first_stage_ > 0) b.copy(input, in_.input);
  images_ += in_.labels.numel();
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
