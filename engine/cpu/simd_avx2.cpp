// Kernels for AVX2 with FMA: 6x16 tiles, 12 sums in 16 registers. Compiled with its own flags: see simd_kernels.h for what may be included
// here.
#include "engine/cpu/simd_kernels.h"

#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>

#define DURA_TILE_ROWS 6

namespace dura::cpu {
namespace {

using Vec = __m256;
constexpr size_t lanes = 8, mr = DURA_TILE_ROWS;

// Reading eight integers from here at 8 - n gives a mask of the first n lanes.
constexpr int mask_window[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
inline __m256i first_lanes(size_t n) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(mask_window + (8 - n))); }
inline Vec load(const float* p) { return _mm256_loadu_ps(p); }
inline void store(float* p, Vec v) { _mm256_storeu_ps(p, v); }
inline Vec load_part(const float* p, size_t n) { return _mm256_maskload_ps(p, first_lanes(n)); }
inline void store_part(float* p, size_t n, Vec v) { _mm256_maskstore_ps(p, first_lanes(n), v); }
inline void prefetch(const float* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0); }
inline Vec broadcast(const float* p) { return _mm256_broadcast_ss(p); }
inline Vec broadcast(float x) { return _mm256_set1_ps(x); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
inline Vec max(Vec a, Vec b) { return _mm256_max_ps(a, b); }

#include "engine/cpu/simd_body.h"

}  // namespace

const KernelSet avx2_kernels = kernel_set("avx2");

}  // namespace dura::cpu
#endif
