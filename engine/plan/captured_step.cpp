#include "engine/plan/captured_step.h"

#include <algorithm>

#include "engine/base/log.h"
#include "engine/core/trace.h"
#include "engine/core/weight.h"
#include "engine/plan/makes_ready.h"

namespace dura {

namespace {

// The largest batch below `too_large` that fits, 0 where none does; what fits, fits with fewer images too.
int64_t largest_fitting(int64_t too_large, const std::function<bool(int64_t)>& fits) {
  int64_t good = 0, bad = too_large;
  while (bad - good > 1) {
    const int64_t middle = good + (bad - good) / 2;
    (fits(middle) ? good : bad) = middle;
  }
  return good;
}

}  // namespace

CapturedStep::CapturedStep(Device device, std::function<void()> body, CapturedStepOptions options)
    : device_(device), body_(std::move(body)), options_(std::move(options)) {}
CapturedStep::~CapturedStep() = default;

MemoryPlan CapturedStep::plan() {
  if (auto* slow = dynamic_cast<MakesReady*>(&device_backend(device_)))
    slow->make_ready([this] {
      const DryRun questions(device_);
      body_();
    });
  DryRun dry(device_);
  body_();
  kernels_ = dry.calls();
  return dry.memory_plan();
}

void CapturedStep::prepare() {
  if (arena_) return;
  MemoryPlan planned = plan();
  held_besides_ = device_pool(device_)->statistics().in_use;
  const size_t memory = device_memory_bytes(device_);
  if (memory > 0 && held_besides_ + planned.bytes > memory)
    fail_for_lack_of_memory(planned, memory, concat(device_name(device_), " has ", mebibytes(memory), " MiB"));
  // What lies idle in the pool is of the past, loading and initialising, and would only add to the peak. (A card would have to wait for its
  // work; its pool gives idle blocks back when memory runs out.)
  if (host_readable(device_)) device_pool(device_)->reset_peak();
  arena_ = std::make_shared<Arena>(device_, std::move(planned));
}

void CapturedStep::fail_for_lack_of_memory(const MemoryPlan& plan, size_t memory, const std::string& found) const {
  std::string advice = "Use a smaller batch or image.";
  if (options_.body_of_batch) {
    size_t workspace = 0;
    for (const Lifetime& l : plan.lifetimes)
      if (l.what.find("workspace") != std::string::npos) workspace = std::max(workspace, l.bytes);
    const int64_t batch = largest_fitting(options_.batch, [&](int64_t b) {
      // A card would make plans for every batch that is tried.
      const DryRun dry(device_, device_backend(device_).workspace_is_slow() ? std::optional(workspace) : std::nullopt);
      options_.body_of_batch(b);
      return held_besides_ + dry.memory_plan().bytes <= memory;
    });
    advice = batch > 0 ? concat("The largest batch that fits is ", batch, ".") : "Not even one image fits.";
  }
  throw OutOfMemory(concat("out of memory: ", options_.name, options_.batch > 0 ? concat(" of batch ", options_.batch) : "", " would need ",
                           mebibytes(plan.bytes), " MiB at its peak beside ", mebibytes(held_besides_),
                           " MiB that are in use (weights, optimizer, inputs); ", found, ". ", advice));
}

void CapturedStep::run_body() {
  arena_->rewind();
  const MemoryScope scope(device_, arena_);
  body_();
  arena_->finish();
}

void CapturedStep::run() {
  prepare();
  try {
    run_or_replay();
  } catch (const OutOfMemory& e) {
    // A card's libraries took more than was kept back for them, by how much nobody knows: a step with an eighth less is looked for.
    fail_for_lack_of_memory(arena_->plan(), held_besides_ + arena_->plan().bytes / 8 * 7,
                            concat(device_name(device_), " has less than it seemed to have (", e.what(), ")"));
  }
}

void CapturedStep::run_or_replay() {
  constexpr int runs_before_capture = 2;
  Backend& device = device_backend(device_);
  if (!device.captures() || !options_.capture || tracing() || runs_ < runs_before_capture) {
    run_body();
    ++runs_;
    return;
  }
  if (!captured_) {
    try {
      captured_ = device.capture([this] { run_body(); });
    } catch (const Error& e) {
      log_warning(options_.name, " cannot be captured and goes on without: ", e.what());
      options_.capture = false;
      return run_body();
    }
  }
  captured_->run();
  if (options_.after_replay)
    options_.after_replay();
  else
    ++untold_changes;
}

}  // namespace dura
