// One step of training with fixed shapes in a fixed arena: planned by a dry run, then run (CPU) or replayed (CUDA). Inside, memory may not
// grow beyond the plan and every run must do the same work; a deviation is an error that names the tensor.
#pragma once
#include <functional>
#include <memory>

#include "engine/memory.h"
#include "engine/meta/meta_backend.h"

namespace dura {

namespace cuda {
class Replayable;
}

class CapturedStep {
 public:
  // `body` must read its input from tensors whose addresses stay, and keep nothing it allocates beyond its return.
  CapturedStep(Device device, std::function<void()> body);
  ~CapturedStep();

  // On CUDA the first two runs are as they are, so that everything that is made at its first use exists; the third is captured, and from
  // then on the captured work is replayed without calling the body. While operations are traced the body is always called.
  void run();
  bool replays() const { return captured_ != nullptr; }
  // Plans without running and without memory; the first run() does so by itself.
  MemoryPlan plan();

  // After the first run: what the plan said, and what happened.
  size_t predicted_peak() const { return arena_ ? arena_->plan().bytes : 0; }
  size_t measured_peak() const { return arena_ ? arena_->high_water() : 0; }
  const std::vector<KernelCall>& kernels() const { return kernels_; }

 private:
  void run_body();

  Device device_;
  std::function<void()> body_;
  std::shared_ptr<Arena> arena_;
  std::unique_ptr<cuda::Replayable> captured_;
  int runs_ = 0;
  std::vector<KernelCall> kernels_;
};

}  // namespace dura
