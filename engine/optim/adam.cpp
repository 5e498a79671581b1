#include "engine/optim/adam.h"

#include "engine/core/ops.h"

namespace dura {

Adam::Adam(const std::vector<Parameter*>& parameters, const AdamOptions& options, const LossScalerOptions& scaler)
    : options_(options), scaler_(scaler), arena_(std::make_unique<ParameterArena>(parameters)) {
  DURA_CHECK(!arena_->groups().empty(), "Adam: nothing is trainable. Unfreeze something.");
  if (!(options.lr >= 0) || !(options.beta1 >= 0 && options.beta1 < 1) || !(options.beta2 >= 0 && options.beta2 < 1) ||
      !(options.eps > 0) || !(options.clip_norm >= 0) || !(options.weight_decay >= 0))
    fail_usage("Adam: learning rate ", options.lr, ", betas ", options.beta1, " and ", options.beta2, ", eps ", options.eps,
               ", norm to clip at ", options.clip_norm, ", weight decay ", options.weight_decay,
               ": a rate >= 0, betas in [0,1), eps > 0, a norm >= 0 and a decay >= 0 are expected");
  state_ = Tensor::empty({StepState::slots}, DType::f64, arena_->groups().front().master.device(), "step state");
  std::vector<double> values(StepState::slots, 0.0);
  values[StepState::learning_rate] = options.lr;
  values[StepState::loss_scale] = scaler.enabled ? scaler.initial_scale : 1.0;
  write_state(values);
}

void Adam::minimise(const std::function<Var()>& loss) {
  gather(loss);
  step();
}

void Adam::gather(const std::function<Var()>& loss, const std::function<void(const Gradient&)>& finished) {
  begin_step();
  {
    Tape tape;
    tape.backward(scale_loss(loss(), state_), {}, finished);
  }
  arena_->check_written();
}

void Adam::step() {
  arena_->check_written();
  std::vector<Tensor> gradients;
  for (const auto& g : arena_->groups()) gradients.push_back(g.gradient);
  update(gradients);
}

void Adam::step(const std::vector<Tensor>& gradients) {
  DURA_CHECK(gradients.size() == arena_->groups().size(), "Adam: ", gradients.size(), " gradients for ", arena_->groups().size(),
             " groups of parameters");
  update(gradients);
}

void Adam::update(const std::vector<Tensor>& gradients) {
  Backend& b = backend(state_.device());
  for (const Tensor& gradient : gradients) b.check_gradients(gradient, state_);
  for (size_t i = 0; i < gradients.size(); ++i) {
    const ParameterArena::Group& g = arena_->groups()[i];
    AdamOptions options = options_;
    if (!g.decays) options.weight_decay = 0;
    // The kernel rounds the copy that is computed with where the gradient has its type.
    const bool rounds = gradients[i].dtype() == g.gradient.dtype();
    b.adam_update(g.master, gradients[i], g.m, g.v, rounds ? g.compute : Tensor(), options, state_);
    if (!rounds) b.cast(g.master, g.compute);
    for (Parameter* p : g.parameters) p->values_changed();
  }
  b.advance_state(scaler_.dynamics, scaler_.enabled, state_);
}

std::vector<double> Adam::read_state() const {
  std::vector<double> values(StepState::slots);
  backend(state_.device()).download(state_, values.data());
  return values;
}

void Adam::set_learning_rate(double lr) {
  // The rest of the state stays on the device: reading it would wait for all steps before.
  backend(state_.device()).upload(&lr, state_.slice(StepState::learning_rate, {1}));
}

void Adam::write_state(const std::vector<double>& values) {
  DURA_CHECK(values.size() == StepState::slots, "the step state has ", int{StepState::slots}, " numbers, got ", values.size());
  backend(state_.device()).upload(values.data(), state_);
}

}  // namespace dura
