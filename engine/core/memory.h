// Memory of a device. A Buffer is one block, given back to where it came from when its last owner lets go.
// Two sources: the general pool of a device (caches freed blocks), and an Arena (one block, offsets fixed by a plan).
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/numbers.h"
#include "engine/core/device.h"

namespace dura {

struct MemoryStatistics {
  size_t in_use = 0;         // bytes in live buffers
  size_t peak = 0;           // largest in_use since the last reset_peak()
  size_t reserved = 0;       // bytes held from the system, cached blocks included
  uint64_t allocations = 0;  // number of blocks handed out

  void count(size_t bytes) {
    in_use += bytes;
    peak = std::max(peak, in_use);
    ++allocations;
  }
};

// For messages, rounded up.
constexpr size_t mebibytes(size_t bytes) { return ceil_div(bytes, size_t{1} << 20); }

// Blocks begin and end at multiples of this: one cache line, one AVX-512 register.
constexpr size_t block_alignment = 64;
constexpr size_t rounded_to_block(size_t bytes) { return bytes == 0 ? block_alignment : round_up(bytes, block_alignment); }

// A device has no memory left for a tensor, or will have none for a step.
class OutOfMemory : public Error {
 public:
  using Error::Error;
};

// The memory of a device that this process can have in all, in bytes; 0 where nobody knows.
size_t device_memory_bytes(Device device);

// What a source hands out: `data` is null where there are no bytes (meta, dry runs), so `id` tells blocks apart.
struct Block {
  void* data = nullptr;
  size_t bytes = 0;
  uint64_t id = 0;
};

class MemorySource {
 public:
  virtual ~MemorySource() = default;
  // At least `bytes` bytes, aligned to 64. `what` names the tensor in error messages.
  virtual Block allocate(size_t bytes, const std::string& what) = 0;
  virtual void release(const Block& block) = 0;
  virtual MemoryStatistics statistics() const = 0;
  virtual void reset_peak() = 0;
};

// Told which tensor lives where, by the sources of a device that checks how its memory is used (the simulated CUDA device). A tensor takes
// the first `bytes` of a block of `capacity`; tensors overlap only where one is a container: an arena.
class BlockWatcher {
 public:
  virtual ~BlockWatcher() = default;
  virtual void begins(void* data, size_t bytes, size_t capacity, const std::string& what, bool container) = 0;
  virtual void ends(void* data) = 0;
};

// Where a pool gets its blocks from. `allocate` gives null when there is no memory left.
struct RawMemory {
  std::function<void*(size_t bytes)> allocate;
  std::function<void(void*)> release;
  // A release stops the device until all of its work is done, so that freed blocks are kept until memory runs out.
  bool release_waits = false;
};

// Keeps freed blocks for the next that asks: fresh pages from the system cost a page fault per 4 KiB, which is slower than many of our
// kernels, and a card's allocation waits for all of its work.
class CachingPool : public MemorySource {
 public:
  explicit CachingPool(RawMemory raw, BlockWatcher* watcher = nullptr) : raw_(std::move(raw)), watcher_(watcher) {}
  Block allocate(size_t bytes, const std::string& what) override;
  void release(const Block& block) override;
  MemoryStatistics statistics() const override;
  void reset_peak() override;

 private:
  void trim();
  RawMemory raw_;
  BlockWatcher* watcher_;
  mutable std::mutex mutex_;
  std::multimap<size_t, void*> free_;
  MemoryStatistics statistics_;
};

// The general pool of a device; lives as long as the process.
std::shared_ptr<MemorySource> device_pool(Device device);

// What Tensor::empty uses now: the innermost MemoryScope of this thread, else the device's pool.
std::shared_ptr<MemorySource> current_memory(Device device);

// While alive, allocations of this thread for `device` come from `source`.
class MemoryScope {
 public:
  MemoryScope(Device device, std::shared_ptr<MemorySource> source);
  ~MemoryScope();
  MemoryScope(const MemoryScope&) = delete;
  MemoryScope& operator=(const MemoryScope&) = delete;

 private:
  Device device_;
  std::shared_ptr<MemorySource> source_;
  MemoryScope* outer_;
  friend std::shared_ptr<MemorySource> current_memory(Device);
};

class Buffer {
 public:
  Buffer(std::shared_ptr<MemorySource> source, size_t bytes, const std::string& what);
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  void* data() const { return block_.data; }

 private:
  std::shared_ptr<MemorySource> source_;
  Block block_;
};

// ---- planned memory ---------------------------------------------------------------------------------------------------

// One allocation of a dry run: alive from event `begin` up to event `end`.
struct Lifetime {
  size_t bytes = 0;
  uint64_t begin = 0, end = UINT64_MAX;
  std::string what;
};

struct MemoryPlan {
  std::vector<Lifetime> lifetimes;  // in order of allocation
  std::vector<size_t> offsets;      // of each, multiples of 64
  size_t bytes = 0;                 // size of the arena: the predicted peak
  size_t live_peak = 0;             // largest sum of live bytes: no plan can be smaller
};

// Gives every lifetime an offset so that no two that overlap in time overlap in memory. Largest first, lowest fitting gap
// (Pisarchyk and Lee, "Efficient memory management for deep neural net inference", 2020, greedy by size).
MemoryPlan plan_memory(std::vector<Lifetime> lifetimes);

// Records lifetimes and hands out no bytes (null pointers): the memory of a dry run.
class LifetimeRecorder : public MemorySource {
 public:
  Block allocate(size_t bytes, const std::string& what) override;
  void release(const Block& block) override;
  MemoryStatistics statistics() const override { return statistics_; }
  void reset_peak() override { statistics_.peak = statistics_.in_use; }
  const std::vector<Lifetime>& lifetimes() const { return lifetimes_; }

 private:
  std::vector<Lifetime> lifetimes_;  // the index is the block's id
  uint64_t events_ = 0;
  MemoryStatistics statistics_;
};

// One block laid out by a plan. The k-th allocation after rewind() gets the k-th offset; anything the plan does not foresee
// (one allocation more, another size) is an error that names the tensor.
class Arena : public MemorySource {
 public:
  Arena(Device device, MemoryPlan plan);
  void rewind();        // all buffers must have been released
  void finish() const;  // an error where fewer allocations were made than planned
  Block allocate(size_t bytes, const std::string& what) override;
  void release(const Block& block) override;
  MemoryStatistics statistics() const override { return statistics_; }
  void reset_peak() override { high_water_ = 0, statistics_.peak = statistics_.in_use; }
  size_t high_water() const { return high_water_; }  // largest offset + size handed out since reset_peak()
  const MemoryPlan& plan() const { return plan_; }

 private:
  Device device_;
  MemoryPlan plan_;
  BlockWatcher* watcher_;  // null: nobody watches
  Buffer buffer_;
  size_t next_ = 0;
  size_t high_water_ = 0;
  MemoryStatistics statistics_;
};

}  // namespace dura
