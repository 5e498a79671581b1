// No-grad scope: while it lives, ops of this thread record nothing, and `module` is in inference form (no dropout, stored statistics).
// With `training` the module is in training mode instead: its BatchNorms gather statistics, and still nothing is recorded. Afterwards the
// module's mode is as before.
#pragma once
#include "engine/core/tape.h"
#include "layers/module.h"

namespace dura {

class NoGradScope {
 public:
  explicit NoGradScope(Module& module, bool training = false) : module_(module), was_training_(module.training()) {
    module.set_training(training);
  }
  ~NoGradScope() { module_.set_training(was_training_); }
  NoGradScope(const NoGradScope&) = delete;
  NoGradScope& operator=(const NoGradScope&) = delete;

 private:
  const Tape nothing_{Tape::Wants::leaves};  // parameters count as constants, and there are no leaves
  Module& module_;
  bool was_training_;
};

}  // namespace dura
