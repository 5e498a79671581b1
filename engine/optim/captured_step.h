// One step of training with fixed shapes in a fixed arena: planned by a dry run, then run (CPU) or replayed (CUDA). Inside, memory may not
// grow beyond the plan and every run must do the same work; a deviation is an error that names the tensor.
#pragma once
#include <functional>
#include <memory>

#include "engine/memory.h"
#include "engine/meta/meta_backend.h"

namespace dura {

class CapturedStep {
 public:
  // `body` must read its input from tensors whose addresses stay, and keep nothing it allocates beyond its return.
  CapturedStep(Device device, std::function<void()> body) : device_(device), body_(std::move(body)) {}

  void run();
  // Plans without running and without memory; the first run() does so by itself.
  MemoryPlan plan();

  // After the first run: what the plan said, and what happened.
  size_t predicted_peak() const { return arena_ ? arena_->plan().bytes : 0; }
  size_t measured_peak() const { return arena_ ? arena_->high_water() : 0; }
  const std::vector<KernelCall>& kernels() const { return kernels_; }

 private:
  Device device_;
  std::function<void()> body_;
  std::shared_ptr<Arena> arena_;
  std::vector<KernelCall> kernels_;
};

}  // namespace dura
