// Adam (Kingma and Ba 2015), with weight decay AdamW (Loshchilov and Hutter 2019), with dynamic loss scaling (Micikevicius et al. 2018).
// Two passes over the flat arenas: are all gradients finite, and how long are they; then unscale and update, or skip. The flag in between
// never visits the host, so a step can be captured.
#pragma once
#include <functional>
#include <memory>

#include "engine/optim/parameter.h"

namespace dura {

// The loss scale as a state machine: times `growth` after growth_interval finite steps in a row, times `backoff` after an overflow, whose
// step is skipped. Off: the scale stays 1, and an overflow still skips its step. Keras begins at 2^15, PyTorch at 2^16.
struct LossScalerOptions {
  bool enabled = false;
  double initial_scale = 65536.0;
  LossScaleOptions dynamics = {};
};

class Adam {
 public:
  // Takes the trainable ones of `parameters`, which must outlive it.
  Adam(const std::vector<Parameter*>& parameters, const AdamOptions& options, const LossScalerOptions& scaler = {});

  const ParameterArena& arena() const { return *arena_; }
  const AdamOptions& options() const { return options_; }
  // The step state tensor: scale_loss(loss, state()).
  const Tensor& state() const { return state_; }

  // One step of training: the forward pass that returns the loss runs under a tape; backward from the scaled loss; new weights.
  void minimise(const std::function<Var()>& loss);
  // The same by hand: begin_step(), forward and backward, step().
  void begin_step() { arena_->begin_step(); }
  // After backward: check, update, advance. The values of every parameter have changed.
  void step();
  // In two halves, for a step whose gradients come from several passes (gradient_tree.h). The first leaves those of one pass in the arena;
  // the second takes a flat array for each group of the arena, [stat], in place of the arena's own.
  // `finished`: as for Tape::backward.
  void gather(const std::function<Var()>& loss, const std::function<void(const Gradient&)>& finished = {});
  void step(const std::vector<Tensor>& gradients);

  // Host view of the step state, for logs and checkpoints; not inside of a step.
  std::vector<double> read_state() const;
  void write_state(const std::vector<double>& values);
  void set_learning_rate(double lr);  // of the steps that follow; not inside of a step

 private:
  void update(const std::vector<Tensor>& gradients);

  AdamOptions options_;
  LossScalerOptions scaler_;
  std::unique_ptr<ParameterArena> arena_;
  Tensor state_;
};

}  // namespace dura
