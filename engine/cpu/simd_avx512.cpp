// Kernels for AVX-512 F: 12x32 tiles, 24 sums in 32 registers. Compiled with its own flags: see simd_kernels.h for what may be included
// here.
#include "engine/cpu/simd_kernels.h"

#if defined(__AVX512F__)
#include <immintrin.h>

#define DURA_TILE_ROWS 12

namespace dura::cpu {
namespace {

using Vec = __m512;
constexpr size_t lanes = 16, mr = DURA_TILE_ROWS;

inline __mmask16 first_lanes(size_t n) { return static_cast<__mmask16>((1u << n) - 1u); }
inline Vec load(const float* p) { return _mm512_loadu_ps(p); }
inline void store(float* p, Vec v) { _mm512_storeu_ps(p, v); }
inline Vec load_part(const float* p, size_t n) { return _mm512_maskz_loadu_ps(first_lanes(n), p); }
inline void store_part(float* p, size_t n, Vec v) { _mm512_mask_storeu_ps(p, first_lanes(n), v); }
inline void prefetch(const float* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0); }
inline Vec broadcast(const float* p) { return _mm512_set1_ps(*p); }
inline Vec broadcast(float x) { return _mm512_set1_ps(x); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
inline Vec max(Vec a, Vec b) { return _mm512_max_ps(a, b); }

#include "engine/cpu/simd_body.h"

}  // namespace

const KernelSet avx512_kernels = kernel_set("avx512");

}  // namespace dura::cpu
#endif
