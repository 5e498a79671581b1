#include "engine/cuda/sim/block_runner.h"

#include <algorithm>
#include <exception>
#include <numeric>
#include <vector>

#include "engine/cuda/device_code.h"
#include "engine/cuda/sim/fiber.h"
#include "engine/core/formula.h"
#include "engine/base/numbers.h"
#include "engine/base/parallel.h"

namespace dura::cuda::sim {

constinit thread_local Position position;

namespace {

constexpr int warp_size = 32;

// i -> (i*factor + offset) mod n goes through all of [0,n): a cheap order for each seed. Seed 0 is the natural one.
struct Order {
  int64_t n, factor = 1, offset = 0;
  Order(int64_t count, uint64_t seed) : n(count) {
    if (seed == 0 || n < 2) return;
    const uint64_t bits = formula::mix64(seed);
    offset = static_cast<int64_t>(bits % static_cast<uint64_t>(n));
    factor = 1 + static_cast<int64_t>((bits >> 32) % static_cast<uint64_t>(n));
    while (std::gcd(factor, n) != 1) ++factor;
  }
  int64_t operator()(int64_t i) const { return (i * factor + offset) % n; }
};

// One block with barriers on this host thread.
class Block {
 public:
  void run(const KernelLaunch& kernel, uint64_t seed) {
    kernel_ = &kernel;
    const size_t count = static_cast<size_t>(kernel.threads);
    while (fibers_.size() < count) fibers_.push_back(std::make_unique<Fiber>());
    threads_.assign(count, {});
    const size_t warps = ceil_div(count, warp_size);
    slots_.resize(warps * 2 * warp_size);
    arrived_in_warp_.assign(warps, 0);
    arrived_ = 0, done_ = 0;
    error_ = nullptr;
    const Order order(kernel.threads, seed);
    for (size_t i = 0; i < count; ++i) fibers_[i]->prepare(&Block::begin, this);
    while (done_ < kernel.threads) {
      bool moved = false;
      for (int64_t i = 0; i < kernel.threads; ++i) {
        current_ = static_cast<size_t>(order(i));
        if (threads_[current_].state != State::ready) continue;
        moved = true;
        position.thread.x = static_cast<unsigned>(current_);
        fibers_[current_]->enter();
        if (error_) std::rethrow_exception(error_);
      }
      if (!moved)
        throw DriverError(Status::launch_failure, concat("kernel ", kernel.name, ": ", done_, " of ", kernel.threads,
                                                         " threads of a block ended while others wait at a barrier or shuffle"));
    }
  }

  void barrier() {
    if (++arrived_ == kernel_->threads) {
      arrived_ = 0;
      for (Thread& t : threads_) t.state = State::ready;
      return;
    }
    wait(State::at_block_barrier);
  }
  void barrier_of_warp() {
    const size_t warp = current_ / warp_size;
    if (++arrived_in_warp_[warp] == lanes(warp)) {
      arrived_in_warp_[warp] = 0;
      for (int i = 0; i < lanes(warp); ++i) threads_[warp * warp_size + static_cast<size_t>(i)].state = State::ready;
      return;
    }
    wait(State::at_warp_barrier);
  }
  void* slot(int lane, int turn) {
    return &slots_[(current_ / warp_size * 2 + static_cast<size_t>(turn)) * warp_size + static_cast<size_t>(lane)];
  }
  int next_turn() { return threads_[current_].turn ^= 1; }
  int lanes_here() const { return lanes(current_ / warp_size); }

 private:
  enum class State : uint8_t { ready, at_block_barrier, at_warp_barrier, done };
  struct Thread {
    State state = State::ready;
    int turn = 0;
  };
  struct alignas(16) Slot {
    char bytes[16];
  };

  static void begin(void* block) {
    Block& b = *static_cast<Block*>(block);
    try {
      b.kernel_->thread();
    } catch (...) {
      b.error_ = std::current_exception();
    }
    b.threads_[b.current_].state = State::done;
    ++b.done_;
    b.fibers_[b.current_]->leave();
  }
  void wait(State state) {
    const size_t self = current_;
    threads_[self].state = state;
    fibers_[self]->leave();
  }
  int lanes(size_t warp) const { return std::min(warp_size, kernel_->threads - static_cast<int>(warp) * warp_size); }

  const KernelLaunch* kernel_ = nullptr;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Thread> threads_;
  std::vector<Slot> slots_;
  std::vector<int> arrived_in_warp_;
  int arrived_ = 0, done_ = 0;
  size_t current_ = 0;
  std::exception_ptr error_;
};

thread_local Block* running_block = nullptr;
thread_local const char* running_kernel = "";

Block& block_with_barriers() {
  if (!running_block)
    throw DriverError(Status::launch_failure, "a kernel reached a barrier or shuffle, but was launched without `barriers`");
  return *running_block;
}

}  // namespace

void block_barrier() { block_with_barriers().barrier(); }
void warp_barrier() { block_with_barriers().barrier_of_warp(); }
void* warp_slot(int lane, int turn) { return block_with_barriers().slot(lane, turn); }
int next_warp_turn() { return block_with_barriers().next_turn(); }
int lane_count() { return block_with_barriers().lanes_here(); }

void misaligned(const void* address, size_t bytes) {
  throw DriverError(Status::misaligned_address,
                    concat("kernel ", running_kernel, ": ", bytes, " bytes at once at ", address, ", which is not a multiple of ", bytes));
}

void run_blocks(const KernelLaunch& kernel, uint64_t seed) {
  const Order order(kernel.blocks, seed);
  // Enough tasks for any number of threads, and few enough that a task is worth starting.
  const int64_t per_task = std::max<int64_t>(1, kernel.blocks / 64);
  const bool backwards = seed % 2 == 1;
  parallel_ranges(kernel.blocks, per_task, [&](int64_t begin, int64_t end) {
    running_kernel = kernel.name;
    position.block_size = {static_cast<unsigned>(kernel.threads), 1, 1};
    position.grid_size = {static_cast<unsigned>(kernel.blocks), 1, 1};
    static thread_local Block block;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t b = order(i);
      position.block = {static_cast<unsigned>(b), 0, 0};
      if (kernel.barriers) {
        running_block = &block;
        try {
          block.run(kernel, seed == 0 ? 0 : seed + static_cast<uint64_t>(b));
        } catch (...) {
          running_block = nullptr;
          throw;
        }
        running_block = nullptr;
        continue;
      }
      for (int t = 0; t < kernel.threads; ++t) {
        position.thread.x = static_cast<unsigned>(backwards ? kernel.threads - 1 - t : t);
        kernel.thread();
      }
    }
  });
}

}  // namespace dura::cuda::sim
