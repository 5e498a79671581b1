#include "engine/optim/captured_step.h"

#include "engine/cuda/replayable.h"
#include "engine/trace.h"

namespace dura {

CapturedStep::CapturedStep(Device device, std::function<void()> body) : device_(device), body_(std::move(body)) {}
CapturedStep::~CapturedStep() = default;

MemoryPlan CapturedStep::plan() {
  DryRun dry(device_);
  body_();
  kernels_ = dry.calls();
  return dry.memory_plan();
}

void CapturedStep::run_body() {
  arena_->rewind();
  const MemoryScope scope(device_, arena_);
  body_();
  arena_->finish();
}

void CapturedStep::run() {
  constexpr int runs_before_capture = 2;
  if (!arena_) arena_ = std::make_shared<Arena>(device_, plan());
  const bool cuda = device_ == Device::cuda || device_ == Device::cuda_sim;
  if (!cuda || tracing() || runs_ < runs_before_capture) {
    run_body();
    ++runs_;
    return;
  }
  if (!captured_) captured_ = std::make_unique<cuda::Replayable>(device_, [this] { run_body(); });
  captured_->run();
}

}  // namespace dura
