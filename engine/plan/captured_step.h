// One step of training or inference with fixed shapes in a fixed arena: planned by a dry run, then run (CPU) or replayed (CUDA). Inside,
// memory may not grow beyond the plan and every run must do the same work; a deviation is an error that names the tensor.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "engine/core/memory.h"
#include "engine/plan/meta_backend.h"

namespace dura {

struct CapturedStepOptions {
  std::string name = "a step";  // for messages
  bool capture = true;          // CUDA; where it is off, every run calls the body
  // The body with inputs for another number of images than `batch`, only called in dry runs: with it, an error for lack of memory says
  // which batch would fit.
  int64_t batch = 0;
  std::function<void(int64_t batch)> body_of_batch = {};
  // Called after each replay, which calls no body: says which values have changed (values_changed, buffers_changed), as the body does.
  // Where it is missing, any value may have (untold_changes).
  std::function<void()> after_replay = {};
};

// For body_of_batch: a tensor like `t` for another number of images, with whatever bytes.
inline Tensor of_batch(const Tensor& t, int64_t batch) { return Tensor::empty(t.shape().of_batch(batch), t.dtype(), t.device()); }

class CapturedStep {
 public:
  // `body` must read its input from tensors whose addresses stay, and keep nothing it allocates beyond its return.
  CapturedStep(Device device, std::function<void()> body, CapturedStepOptions options = {});
  ~CapturedStep();

  // Plans the step and takes its arena, unless that is done. Throws OutOfMemory with the predicted peak where the device has less.
  void prepare();
  // Prepares itself. On CUDA the first two runs are as they are, so that everything that is made at its first use exists; the third is
  // captured, and from then on the captured work is replayed without calling the body. Where the capture fails, that is said once and the
  // body is called from then on. While operations are traced the body is always called.
  // Memory that a device turns out not to have is an OutOfMemory like prepare()'s.
  void run();
  bool replays() const { return captured_ != nullptr; }
  // Plans without running and without memory.
  MemoryPlan plan();

  // Once prepared: the arena's bytes by plan, what of them was used so far, and what the device held besides when the plan was made.
  size_t predicted_peak() const { return arena_ ? arena_->plan().bytes : 0; }
  size_t measured_peak() const { return arena_ ? arena_->high_water() : 0; }
  size_t held_besides() const { return held_besides_; }
  const std::vector<KernelCall>& kernels() const { return kernels_; }

 private:
  void run_body();
  // `found`: how it came to light; `memory`: what the largest batch is looked for within.
  [[noreturn]] void fail_for_lack_of_memory(const MemoryPlan& plan, size_t memory, const std::string& found) const;
  void run_or_replay();

  Device device_;
  std::function<void()> body_;
  CapturedStepOptions options_;
  std::shared_ptr<Arena> arena_;
  std::unique_ptr<Replay> captured_;
  int runs_ = 0;
  size_t held_besides_ = 0;
  std::vector<KernelCall> kernels_;
};

}  // namespace dura
