// Two rows of bf16 numbers side by side. A part of the file that includes it, like simd_body.h; it defines DURA_AVX512_PAIRS where it is
// compiled for AVX-512 BW.

// pairs[2 i], pairs[2 i + 1] = first[i], second[i]
inline void pair_rows(const Bf16* first, const Bf16* second, size_t count, Bf16* pairs) {
  size_t i = 0;
#if defined(DURA_AVX512_PAIRS)
  alignas(64) static constexpr unsigned short low[32] = {0, 32, 1, 33, 2,  34, 3,  35, 4,  36, 5,  37, 6,  38, 7,  39,
                                                         8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
  const __m512i of_low = _mm512_load_si512(low), of_high = _mm512_add_epi16(of_low, _mm512_set1_epi16(16));
  for (; i + 32 <= count; i += 32) {
    const __m512i a = _mm512_loadu_si512(first + i), b = _mm512_loadu_si512(second + i);
    _mm512_storeu_si512(pairs + 2 * i, _mm512_permutex2var_epi16(a, of_low, b));
    _mm512_storeu_si512(pairs + 2 * i + 32, _mm512_permutex2var_epi16(a, of_high, b));
  }
#endif
  for (; i < count; ++i) pairs[2 * i] = first[i], pairs[2 * i + 1] = second[i];
}
