// What every .cu file here begins with. Each is compiled twice: by nvcc for a card, and by the C++ compiler for the simulated device; the
// namespace inside of dura::cuda keeps the two apart. Kernels are started by launch() alone.
#pragma once
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "engine/base/numbers.h"
#include "engine/cuda/driver.h"
#include "engine/core/formula.h"

// DURA_CARD_STAND_IN: the card's side compiled by the C++ compiler, for a test whose CUDA runtime is a stand-in on the simulated device.
#if defined(__CUDACC__)
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#else
#include "engine/cuda/device_code.h"
#endif
#if defined(__CUDACC__) || defined(DURA_CARD_STAND_IN)
#define DURA_CUDA_BUILD card
#else
#define DURA_CUDA_BUILD simulated
#endif

namespace dura::cuda {
inline namespace DURA_CUDA_BUILD {

// ---- elements: stored in 16 or 32 bits, computed with in f32; f64 as it is ----

__device__ inline float load(float v) { return v; }
__device__ inline double load(double v) { return v; }
__device__ inline void store(float* to, float v) { *to = v; }
__device__ inline void store(double* to, double v) { *to = v; }
#if defined(__CUDACC__)
__device__ inline float load(f16 v) { return __half2float(__ushort_as_half(v.bits)); }
__device__ inline float load(bf16 v) { return __uint_as_float(static_cast<unsigned>(v.bits) << 16); }
__device__ inline void store(f16* to, float v) { to->bits = __half_as_ushort(__float2half_rn(v)); }
__device__ inline void store(bf16* to, float v) { to->bits = __bfloat16_as_ushort(__float2bfloat16_rn(v)); }
#else
inline float load(f16 v) { return formula::from_f16(v); }
inline float load(bf16 v) { return formula::from_bf16(v); }
inline void store(f16* to, float v) { *to = formula::to_f16(v); }
inline void store(bf16* to, float v) { *to = formula::to_bf16(v); }
#endif

__device__ inline bool is_finite(double v) { return v - v == 0; }

// Writes or adds, as a GradTarget says.
template <class T>
__device__ inline void put(T* to, float v, bool accumulate) {
  store(to, accumulate ? load(*to) + v : v);
}

// This thread's place among all threads of the grid, and its warp's among all warps.
__device__ inline int64_t thread_index() { return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; }
__device__ inline int64_t warp_index() { return thread_index() / 32; }
__device__ inline int lane_index() { return static_cast<int>(threadIdx.x % 32); }

// W elements that one thread reads or writes at once. 16 bytes are the most that it can: with one 16-bit element for each thread, a kernel
// that should wait for memory waits for index arithmetic instead.
template <class T, int W>
struct alignas(W * sizeof(T)) Pack {
  T v[W];
};
template <class T>
constexpr int widest_pack = static_cast<int>(16 / sizeof(T));

template <int W, class T>
__device__ inline Pack<T, W> read_pack(const T* from) {
#if defined(__CUDACC__)
  return *reinterpret_cast<const Pack<T, W>*>(from);
#else
  Pack<T, W> pack;
  sim::check_alignment(from, sizeof pack);
  std::memcpy(&pack, from, sizeof pack);
  return pack;
#endif
}
template <int W, class T>
__device__ inline void write_pack(T* to, const Pack<T, W>& pack) {
#if defined(__CUDACC__)
  *reinterpret_cast<Pack<T, W>*>(to) = pack;
#else
  sim::check_alignment(to, sizeof pack);
  std::memcpy(to, &pack, sizeof pack);
#endif
}

// The sum over a warp's lanes, in each of them, always in the same order; all lanes must call it.
template <class T>
__device__ inline T warp_sum(T v) {
  for (int mask = 16; mask > 0; mask /= 2) v += __shfl_xor_sync(0xffffffffu, v, mask);
  return v;
}

// The sum over a block's threads, in thread 0, always in the same order. Blocks are whole warps. Once in a kernel.
template <class T>
__device__ inline T block_sum(T v) {
  __shared__ T of_warp[32];
  for (unsigned delta = 16; delta > 0; delta /= 2) v += __shfl_down_sync(0xffffffffu, v, delta);
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = v;
  __syncthreads();
  if (threadIdx.x < 32) {
    v = threadIdx.x < blockDim.x / 32 ? of_warp[threadIdx.x] : T(0);
    for (unsigned delta = 16; delta > 0; delta /= 2) v += __shfl_down_sync(0xffffffffu, v, delta);
  }
  return v;
}

// ---- launching ----

constexpr int block_threads = 256;

struct Grid {
  int64_t blocks;
  int threads = block_threads;
  bool barriers = false;  // the kernel has __syncthreads or shuffles
};
// One thread for each of `count` elements; kernels leave at once behind the last.
inline Grid grid_over(int64_t count) { return {ceil_div(count, block_threads)}; }
// One warp for each of `count` rows or pixels, few to a block, so that a few rows already use several multiprocessors.
inline Grid warps_over(int64_t count) {
  constexpr int64_t warps = 4;
  return {.blocks = ceil_div(count, warps), .threads = 32 * warps, .barriers = true};
}

template <class T>
void note_pointer(std::vector<const void*>& pointers, const T& argument) {
  if constexpr (std::is_pointer_v<T>) pointers.push_back(argument);
}

#if !defined(__CUDACC__)
// What the simulated device is given: what one thread does, and the arguments that are addresses.
template <class... P>
void simulate(KernelLaunch& k, void (*kernel)(P...), const std::tuple<P...>& values) {
  std::apply([&](auto&... v) { (note_pointer(k.pointers, v), ...); }, values);
  k.thread = [kernel, values] { std::apply(kernel, values); };
}
#endif

// Nothing to do for an empty grid. `name` must be a literal.
template <class... P, class... A>
void launch(Driver& driver, Stream stream, const char* name, void (*kernel)(P...), Grid grid, const A&... arguments) {
  if (grid.blocks == 0) return;
  std::tuple<P...> values(static_cast<P>(arguments)...);
  KernelLaunch k{.name = name, .blocks = grid.blocks, .threads = grid.threads, .barriers = grid.barriers};
#if defined(__CUDACC__) || defined(DURA_CARD_STAND_IN)
#if defined(DURA_CARD_STAND_IN)
  know_kernel(reinterpret_cast<const void*>(kernel), [kernel, k](void** given) {
    KernelLaunch simulated = k;
    simulate(
        simulated, kernel, [&]<size_t... I>(std::index_sequence<I...>) {
          return std::tuple<P...>(*static_cast<P*>(given[I])...);
        }(std::index_sequence_for<P...>()));
    return simulated;
  });
#endif
  std::apply(
      [&](auto&... v) {
        void* addresses[] = {&v...};
        k.function = reinterpret_cast<const void*>(kernel);
        k.arguments = addresses;
        driver.launch(k, stream);
      },
      values);
#else
  simulate(k, kernel, values);
  driver.launch(k, stream);
#endif
}

}  // namespace DURA_CUDA_BUILD
}  // namespace dura::cuda
