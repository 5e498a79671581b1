// Kernels for AVX2 with FMA and F16C, which every processor with AVX2 has: 6x16 tiles, 12 sums in 16 registers. Compiled with its own
// flags: see simd_kernels.h for what may be included here.
#include "engine/cpu/simd_kernels.h"

#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>

#define DURA_TILE_ROWS 6

namespace dura::cpu {
namespace {

using Vec = __m256;
using Number = float;
constexpr size_t lanes = 8, mr = DURA_TILE_ROWS, unrolled_steps = 4;
constexpr bool streams = true;

// Reading eight integers from here at 8 - n gives a mask of the first n lanes.
constexpr int mask_window[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
inline __m256i first_lanes(size_t n) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(mask_window + (8 - n))); }
inline Vec load(const float* p) { return _mm256_loadu_ps(p); }
inline void store(float* p, Vec v) { _mm256_storeu_ps(p, v); }
inline void stream(float* p, Vec v) { _mm256_stream_ps(p, v); }
inline void streamed() { _mm_sfence(); }
inline Vec load_part(const float* p, size_t n) { return _mm256_maskload_ps(p, first_lanes(n)); }
inline void store_part(float* p, size_t n, Vec v) { _mm256_maskstore_ps(p, first_lanes(n), v); }
inline void prefetch(const char* p) { _mm_prefetch(p, _MM_HINT_T0); }
inline Vec broadcast(const float* p) { return _mm256_broadcast_ss(p); }
inline Vec broadcast(float x) { return _mm256_set1_ps(x); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
// fma, in the one form that leaves the sum where it is: in an unrolled loop GCC 12 else chooses others, and moves and spills sums.
inline void add_product(Vec& sum, Vec a, Vec b) { asm("vfmadd231ps %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b)); }
inline Vec max(Vec a, Vec b) { return _mm256_max_ps(a, b); }
inline Vec if_greater(Vec v, Vec best, Vec a, Vec b) {
  return _mm256_blendv_ps(b, a, _mm256_or_ps(_mm256_cmp_ps(v, best, _CMP_GT_OQ), _mm256_cmp_ps(v, v, _CMP_UNORD_Q)));
}
inline Vec where_positive(Vec t, Vec v) { return _mm256_and_ps(_mm256_cmp_ps(t, _mm256_setzero_ps(), _CMP_GT_OQ), v); }

// 16-bit numbers. Rounding to nearest even as in formula.h, subnormal numbers included.
inline Vec widened(const Bf16*, __m128i bits) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16)); }
inline Vec widened(const Half*, __m128i bits) { return _mm256_cvtph_ps(bits); }
inline __m128i narrowed(const Bf16*, Vec v) {
  const __m256i b = _mm256_castps_si256(v), high = _mm256_srli_epi32(b, 16);
  const __m256i odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(b, _mm256_add_epi32(_mm256_set1_epi32(0x7fff), odd)), 16);
  const __m256i quiet = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
  const __m256i chosen = _mm256_blendv_epi8(rounded, quiet, _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q)));
  return _mm_packus_epi32(_mm256_castsi256_si128(chosen), _mm256_extracti128_si256(chosen, 1));
}
inline __m128i narrowed(const Half*, Vec v) { return _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

#include "engine/cpu/simd_half.h"

#include "engine/cpu/simd_parts.h"

#include "engine/cpu/simd_epilogue.h"

#include "engine/cpu/simd_rows.h"

#include "engine/cpu/simd_body.h"

}  // namespace

const KernelSet avx2_kernels = kernel_set("avx2");

}  // namespace dura::cpu
#endif
