// Kernels for any processor: vectors of four floats in the compiler's own notation (SSE2 on x86-64, NEON on ARM). 6x8 tiles, 12 sums.
#include "engine/cpu/simd_kernels.h"

#define DURA_TILE_ROWS 6

namespace dura::cpu {
namespace {

typedef float Vec __attribute__((vector_size(16)));
typedef float UnalignedVec __attribute__((vector_size(16), aligned(4), may_alias));
constexpr size_t lanes = 4, mr = DURA_TILE_ROWS;

inline Vec load(const float* p) { return *reinterpret_cast<const UnalignedVec*>(p); }
inline void store(float* p, Vec v) { *reinterpret_cast<UnalignedVec*>(p) = v; }
inline Vec load_part(const float* p, size_t n) {
  Vec v = {0.0f, 0.0f, 0.0f, 0.0f};
  for (size_t i = 0; i < n; ++i) v[i] = p[i];
  return v;
}
inline void store_part(float* p, size_t n, Vec v) {
  for (size_t i = 0; i < n; ++i) p[i] = v[i];
}
inline Vec broadcast(float x) { return Vec{x, x, x, x}; }
inline void prefetch(const float* p) { __builtin_prefetch(p); }
inline Vec broadcast(const float* p) { return broadcast(*p); }
inline Vec fma(Vec a, Vec b, Vec c) { return a * b + c; }
inline Vec max(Vec a, Vec b) { return a > b ? a : b; }

#include "engine/cpu/simd_body.h"

}  // namespace

const KernelSet generic_kernels = kernel_set("generic");

}  // namespace dura::cpu
