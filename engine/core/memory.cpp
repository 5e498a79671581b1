#include "engine/core/memory.h"

#include <algorithm>
#include <new>
#include <numeric>

#include "engine/core/backend.h"

namespace dura {
namespace {

thread_local MemoryScope* innermost_scope = nullptr;

}  // namespace

Block CachingPool::allocate(size_t bytes, const std::string& what) {
  const size_t wanted = bytes;
  bytes = rounded_to_block(bytes);
  std::lock_guard lock(mutex_);
  // A cached block may be a quarter larger than what is asked for: more would waste memory, less would miss too often.
  const auto found = free_.lower_bound(bytes);
  Block block;
  if (found != free_.end() && found->first <= bytes + bytes / 4) {
    block = {found->second, found->first, 0};
    free_.erase(found);
  } else {
    block = {raw_.allocate(bytes), bytes, 0};
    if (!block.data) trim(), block.data = raw_.allocate(bytes);
    if (!block.data)
      throw OutOfMemory(
          concat("out of memory: ", what, " needs ", bytes, " bytes, ", statistics_.in_use, " are in use. Use a smaller batch or image."));
    statistics_.reserved += bytes;
  }
  statistics_.count(block.bytes);
  if (watcher_) watcher_->begins(block.data, wanted, block.bytes, what, false);
  return block;
}

void CachingPool::release(const Block& block) {
  std::lock_guard lock(mutex_);
  if (watcher_) watcher_->ends(block.data);
  statistics_.in_use -= block.bytes;
  try {
    free_.emplace(block.bytes, block.data);
  } catch (const std::bad_alloc&) {  // no memory to remember the block by; this runs in destructors
    raw_.release(block.data), statistics_.reserved -= block.bytes;
  }
  // Blocks of the past must not pile up: a run changes shapes between phases, and between training and evaluation.
  if (!raw_.release_waits && statistics_.reserved > statistics_.in_use + statistics_.peak / 2 + (size_t{256} << 20)) trim();
}

MemoryStatistics CachingPool::statistics() const {
  std::lock_guard lock(mutex_);
  return statistics_;
}

void CachingPool::reset_peak() {
  std::lock_guard lock(mutex_);
  trim();
  statistics_.peak = statistics_.in_use;
}

void CachingPool::trim() {
  for (const auto& [bytes, data] : free_) raw_.release(data), statistics_.reserved -= bytes;
  free_.clear();
}

std::shared_ptr<MemorySource> current_memory(Device device) {
  for (MemoryScope* s = innermost_scope; s; s = s->outer_)
    if (s->device_ == device) return s->source_;
  return device_pool(device);
}

MemoryScope::MemoryScope(Device device, std::shared_ptr<MemorySource> source)
    : device_(device), source_(std::move(source)), outer_(innermost_scope) {
  innermost_scope = this;
}
MemoryScope::~MemoryScope() { innermost_scope = outer_; }

Buffer::Buffer(std::shared_ptr<MemorySource> source, size_t bytes, const std::string& what)
    : source_(std::move(source)), block_(source_->allocate(bytes, what)) {}
Buffer::~Buffer() { source_->release(block_); }

// ---- planned memory ----

Block LifetimeRecorder::allocate(size_t bytes, const std::string& what) {
  bytes = rounded_to_block(bytes);
  lifetimes_.push_back({bytes, events_++, UINT64_MAX, what});
  statistics_.count(bytes);
  return {nullptr, bytes, lifetimes_.size() - 1};
}

void LifetimeRecorder::release(const Block& block) {
  lifetimes_[block.id].end = events_++;
  statistics_.in_use -= block.bytes;
}

// Where blocks of an arena begin. NVIDIA's libraries want it of their workspaces, and a card's own allocations begin so.
constexpr size_t planned_alignment = 256;

MemoryPlan plan_memory(std::vector<Lifetime> lifetimes) {
  MemoryPlan plan;
  plan.lifetimes = std::move(lifetimes);
  const auto& all = plan.lifetimes;
  plan.offsets.assign(all.size(), 0);

  std::vector<size_t> order(all.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return all[a].bytes > all[b].bytes; });

  std::vector<size_t> placed;  // kept sorted by offset
  for (size_t i : order) {
    size_t offset = 0;
    for (size_t j : placed) {
      if (all[j].end < all[i].begin || all[i].end < all[j].begin) continue;
      if (plan.offsets[j] >= offset + all[i].bytes) break;
      offset = std::max(offset, round_up(plan.offsets[j] + all[j].bytes, planned_alignment));
    }
    plan.offsets[i] = offset;
    plan.bytes = std::max(plan.bytes, offset + all[i].bytes);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), i, [&](size_t a, size_t b) { return plan.offsets[a] < plan.offsets[b]; }),
                  i);
  }

  std::vector<std::pair<uint64_t, int64_t>> changes;
  for (const Lifetime& l : all) {
    changes.emplace_back(l.begin, static_cast<int64_t>(l.bytes));
    if (l.end != UINT64_MAX) changes.emplace_back(l.end, -static_cast<int64_t>(l.bytes));
  }
  std::sort(changes.begin(), changes.end());
  int64_t live = 0;
  for (const auto& [event, bytes] : changes) plan.live_peak = std::max(plan.live_peak, static_cast<size_t>(live += bytes));
  return plan;
}

Arena::Arena(Device device, MemoryPlan plan)
    : device_(device),
      plan_(std::move(plan)),
      watcher_(device_backend(device).watcher()),
      buffer_(device_pool(device), plan_.bytes, "arena of a captured step") {
  if (!watcher_) return;
  watcher_->ends(buffer_.data());
  watcher_->begins(buffer_.data(), plan_.bytes, plan_.bytes, "arena of a captured step", true);
}

void Arena::rewind() {
  DURA_CHECK(statistics_.in_use == 0, "a captured step still holds ", statistics_.in_use,
             " bytes of its arena when the next one begins. Copy what must outlive the step out of it.");
  next_ = 0;
}

void Arena::finish() const {
  DURA_CHECK(next_ == plan_.lifetimes.size(), "captured step: ended after ", next_, " of the planned ", plan_.lifetimes.size(),
             " allocations; the next would have been ", plan_.lifetimes[std::min(next_, plan_.lifetimes.size() - 1)].what,
             ". Every step must do the same work; plan it again after changing the model.");
}

Block Arena::allocate(size_t bytes, const std::string& what) {
  const size_t wanted = bytes;
  bytes = rounded_to_block(bytes);
  DURA_CHECK(next_ < plan_.lifetimes.size(), "captured step: ", what, " (", bytes, " bytes) is one allocation more than the planned ",
             plan_.lifetimes.size(), ". Every step must do the same work; plan it again after changing the model.");
  const Lifetime& planned = plan_.lifetimes[next_];
  DURA_CHECK(planned.bytes == bytes, "captured step: ", what, " needs ", bytes, " bytes where the plan has ", planned.bytes, " for ",
             planned.what, ". The shapes of a captured step are fixed; use the short batch outside of it.");
  const size_t offset = plan_.offsets[next_];
  statistics_.count(bytes);
  statistics_.reserved = plan_.bytes;
  high_water_ = std::max(high_water_, offset + bytes);
  const Block block{static_cast<char*>(buffer_.data()) + offset, bytes, next_++};
  if (watcher_) watcher_->begins(block.data, wanted, bytes, what, false);
  return block;
}

void Arena::release(const Block& block) {
  if (watcher_) watcher_->ends(block.data);
  statistics_.in_use -= block.bytes;
}

}  // namespace dura
