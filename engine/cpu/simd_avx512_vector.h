// Vectors of sixteen floats in AVX-512 F. A part of the file that includes it in an unnamed namespace, like simd_body.h.

using Vec = __m512;
using Number = float;
constexpr size_t lanes = 16;

inline __mmask16 first_lanes(size_t n) { return static_cast<__mmask16>((1u << n) - 1u); }
inline Vec load(const float* p) { return _mm512_loadu_ps(p); }
inline void store(float* p, Vec v) { _mm512_storeu_ps(p, v); }
inline Vec load_part(const float* p, size_t n) { return _mm512_maskz_loadu_ps(first_lanes(n), p); }
inline void store_part(float* p, size_t n, Vec v) { _mm512_mask_storeu_ps(p, first_lanes(n), v); }
inline void prefetch(const char* p) { _mm_prefetch(p, _MM_HINT_T0); }
inline Vec broadcast(float x) { return _mm512_set1_ps(x); }
inline Vec broadcast(const float* p) { return _mm512_set1_ps(*p); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
inline void add_product(Vec& sum, Vec a, Vec b) { sum = fma(a, b, sum); }
constexpr size_t unrolled_steps = 1;
constexpr bool streams = true;
inline void stream(float* p, Vec v) { _mm512_stream_ps(p, v); }
inline void streamed() { _mm_sfence(); }
inline Vec max(Vec a, Vec b) { return _mm512_max_ps(a, b); }
inline Vec if_greater(Vec v, Vec best, Vec a, Vec b) {
  const __mmask16 greater = static_cast<__mmask16>(_mm512_cmp_ps_mask(v, best, _CMP_GT_OQ) | _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q));
  return _mm512_mask_mov_ps(b, greater, a);
}
inline Vec where_positive(Vec t, Vec v) { return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(t, _mm512_setzero_ps(), _CMP_GT_OQ), v); }

// 16-bit numbers. Rounding to nearest even as in formula.h, subnormal numbers included but where the processor rounds to bf16 itself.
inline Vec widened(const Bf16*, __m256i bits) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16)); }
inline Vec widened(const Half*, __m256i bits) { return _mm512_cvtph_ps(bits); }
#if defined(__AVX512BF16__)
inline __m256i narrowed(const Bf16*, Vec v) { return reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(v)); }
#else
inline __m256i narrowed(const Bf16*, Vec v) {
  const __m512i b = _mm512_castps_si512(v), high = _mm512_srli_epi32(b, 16);
  const __m512i odd = _mm512_and_si512(high, _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(b, _mm512_add_epi32(_mm512_set1_epi32(0x7fff), odd)), 16);
  const __m512i quiet = _mm512_or_si512(high, _mm512_set1_epi32(0x40));
  return _mm512_cvtepi32_epi16(_mm512_mask_mov_epi32(rounded, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), quiet));
}
#endif
inline __m256i narrowed(const Half*, Vec v) { return _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
