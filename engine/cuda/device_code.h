// What a .cu file needs to be compiled by a C++ compiler: CUDA's keywords, indices, barriers and shuffles, for kernels that run on the
// simulated device (block_runner.h). Only kernel.h includes this.
//
// Shared variables are static and of one thread of the host: a block runs on one of them from beginning to end.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#define __global__
#define __device__
#define __host__
#define __shared__ static thread_local

namespace dura::cuda::sim {

struct Index3 {
  unsigned x = 0, y = 0, z = 0;
};

// Where the running thread of the simulated device is. Sizes are 1 in the directions that dura does not use.
struct Position {
  Index3 thread, block, block_size{1, 1, 1}, grid_size{1, 1, 1};
};
extern constinit thread_local Position position;

void block_barrier();                 // __syncthreads
void warp_barrier();                  // all threads of the warp
void* warp_slot(int lane, int turn);  // 16 bytes of a lane of this warp
int next_warp_turn();                 // alternates for each shuffle of a thread
int lane_count();                     // of this warp: 32, or what the last one has
[[noreturn]] void misaligned(const void* address, size_t bytes);

// A card reads and writes several bytes at once only where their address is a multiple of their number.
inline void check_alignment(const void* address, size_t bytes) {
  if (reinterpret_cast<uintptr_t>(address) % bytes != 0) misaligned(address, bytes);
}

// The value of another lane of the warp. Two sets of slots, so that one barrier is enough: who writes the second set has passed the
// barrier of the first, and all have read the first before anyone passes the barrier of the second.
template <class T>
T from_lane(T value, int lane) {
  static_assert(sizeof(T) <= 16 && std::is_trivially_copyable_v<T>);
  const int turn = next_warp_turn(), own = static_cast<int>(position.thread.x % 32);
  std::memcpy(warp_slot(own, turn), &value, sizeof(T));
  warp_barrier();
  T other = value;
  if (lane >= 0 && lane < lane_count()) std::memcpy(&other, warp_slot(lane, turn), sizeof(T));
  return other;
}

}  // namespace dura::cuda::sim

#define threadIdx (::dura::cuda::sim::position.thread)
#define blockIdx (::dura::cuda::sim::position.block)
#define blockDim (::dura::cuda::sim::position.block_size)
#define gridDim (::dura::cuda::sim::position.grid_size)

inline void __syncthreads() { ::dura::cuda::sim::block_barrier(); }
template <class T>
T __shfl_down_sync(unsigned, T value, unsigned delta) {
  return ::dura::cuda::sim::from_lane(value, static_cast<int>(threadIdx.x % 32 + delta));
}
template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  return ::dura::cuda::sim::from_lane(value, static_cast<int>(threadIdx.x % 32) ^ mask);
}
template <class T>
T __shfl_sync(unsigned, T value, int lane) {
  return ::dura::cuda::sim::from_lane(value, lane);
}
