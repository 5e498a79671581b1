#include "engine/optim/captured_step.h"

namespace dura {

MemoryPlan CapturedStep::plan() {
  DryRun dry(device_);
  body_();
  kernels_ = dry.calls();
  return dry.memory_plan();
}

void CapturedStep::run() {
  if (!arena_) arena_ = std::make_shared<Arena>(device_, plan());
  arena_->rewind();
  const MemoryScope scope(device_, arena_);
  body_();
  arena_->finish();
}

}  // namespace dura
