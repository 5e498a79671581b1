// A step of the optimizer: its options, the state that every step changes, and the formulas that all devices compute it by. A CUDA
// translation unit sees them as device code.
#pragma once
#include <cmath>
#include <cstdint>

#include "engine/base/philox.h"

namespace dura {

enum class AdamEpsForm : uint8_t { keras, torch };  // eps beside sqrt(v), or beside sqrt(vhat)

struct AdamOptions {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-7;
  AdamEpsForm eps_form = AdamEpsForm::keras;
  double clip_norm = 0;     // gradients whose norm over all arrays is larger are scaled to it (Pascanu et al. 2013); 0: never
  double weight_decay = 0;  // decoupled: parameters also shrink by lr * weight_decay * themselves (Loshchilov and Hutter 2019); 0: Adam
};

struct LossScaleOptions {
  double growth = 2.0, backoff = 0.5;
  int64_t growth_interval = 2000;  // finite steps before the scale grows
};

// What changes from step to step lives in one f64 tensor on the device, so that a captured step can be replayed.
struct StepState {
  enum Slot : int { learning_rate, step_count, loss_scale, growth_tracker, skipped_steps, overflow, gradient_square_sum, slots };
};

namespace formula {

// What one Adam step needs besides the moments; t counts from 1 (Kingma and Ba 2015, section 2).
// Keras: p -= lr*sqrt(1-b2^t)/(1-b1^t) * m/(sqrt(v) + eps).  PyTorch: p -= lr/(1-b1^t) * m/(sqrt(v)/sqrt(1-b2^t) + eps).
struct AdamStep {
  double rate;             // multiplies m / denominator
  double root_correction;  // multiplies sqrt(v)
  double beta1, beta2, eps;
  double gradient_factor;  // undoes the loss scale, and clips
  double decay;            // lr * weight decay
};

// What gradients are multiplied by so that their norm is at most clip_norm; the small number is PyTorch's (clip_grad_norm_).
DURA_HOST_DEVICE inline double clip_factor(double clip_norm, double norm) {
  return clip_norm > 0 && norm + 1e-6 > clip_norm ? clip_norm / (norm + 1e-6) : 1.0;
}

DURA_HOST_DEVICE inline AdamStep adam_step(const AdamOptions& o, const double* state) {
  const double t = state[StepState::step_count] + 1, correction1 = 1 - pow(o.beta1, t), root_correction2 = sqrt(1 - pow(o.beta2, t));
  const double lr = state[StepState::learning_rate];
  const bool keras = o.eps_form == AdamEpsForm::keras;
  return {keras ? lr * root_correction2 / correction1 : lr / correction1,
          keras ? 1.0 : 1 / root_correction2,
          o.beta1,
          o.beta2,
          o.eps,
          clip_factor(o.clip_norm, sqrt(state[StepState::gradient_square_sum])) / state[StepState::loss_scale],
          lr * o.weight_decay};
}

// The new parameter; moves the moments.
template <class T>
DURA_HOST_DEVICE inline T adam(const AdamStep& s, T gradient, T parameter, T* m, T* v, T root(T)) {
  const T g = gradient * static_cast<T>(s.gradient_factor);
  *m += (g - *m) * static_cast<T>(1 - s.beta1);
  *v += (g * g - *v) * static_cast<T>(1 - s.beta2);
  // One subtraction: 1 - decay, which is as close to 1 as numbers get, is never rounded.
  return parameter - (static_cast<T>(s.rate) * *m / (root(*v) * static_cast<T>(s.root_correction) + static_cast<T>(s.eps)) +
                      static_cast<T>(s.decay) * parameter);
}

// Enters the sum of squares of some scaled gradients. That of finite f32 values cannot overflow a double (unlike that of huge f64 ones,
// which no training survives either), so an infinite sum or NaN means an element that is not finite.
DURA_HOST_DEVICE inline void enter_square_sum(double square_sum, double* state) {
  if (!(square_sum - square_sum == 0)) state[StepState::overflow] = 1;
  state[StepState::gradient_square_sum] += square_sum / (state[StepState::loss_scale] * state[StepState::loss_scale]);
}

// After all updates: the loss scale as a state machine (Micikevicius et al. 2018).
DURA_HOST_DEVICE inline void advance_state(const LossScaleOptions& o, bool scaled, double* state) {
  if (state[StepState::overflow] != 0) {
    state[StepState::skipped_steps] += 1;
    state[StepState::growth_tracker] = 0;
    if (scaled) state[StepState::loss_scale] *= o.backoff;
  } else {
    state[StepState::step_count] += 1;
    state[StepState::growth_tracker] += 1;
    if (state[StepState::growth_tracker] >= static_cast<double>(o.growth_interval)) {
      state[StepState::growth_tracker] = 0;
      // Growth that f32 arithmetic could not carry is not applied.
      if (scaled && state[StepState::loss_scale] * o.growth <= 3.4028234663852886e38) state[StepState::loss_scale] *= o.growth;
    }
  }
  state[StepState::overflow] = 0;
  state[StepState::gradient_square_sum] = 0;
}

}  // namespace formula
}  // namespace dura
