// Products of bf16 numbers with f32 sums for AVX-512 BF16: 12x32 tiles as in simd_avx512.cpp, two steps of the depth in one instruction.
// Compiled with its own flags: see simd_kernels.h for what may be included here.
#include "engine/cpu/simd_kernels.h"

#if defined(__AVX512BF16__)
#include <immintrin.h>

namespace dura::cpu {
namespace {

using Vec = __m512;
constexpr size_t lanes = 16, mr = 12, nr = 2 * lanes;

inline __mmask16 first_lanes(size_t n) { return static_cast<__mmask16>(n >= lanes ? 0xffffu : (1u << n) - 1u); }
inline Vec load_f32(const float* p, __mmask16 m) { return _mm512_maskz_loadu_ps(m, p); }
inline Vec widened(__m256i bits) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16)); }
inline Vec load_bf16(const Bf16* p, __mmask16 m) { return widened(_mm256_maskz_loadu_epi16(m, p)); }

// Rounds to nearest even as formula::to_bf16 does, subnormal numbers included, which the instruction vcvtneps2bf16 would flush to zero.
inline __m256i narrowed(Vec v) {
  const __m512i b = _mm512_castps_si512(v), one = _mm512_set1_epi32(1);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(b, 16), one);
  const __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(b, _mm512_add_epi32(_mm512_set1_epi32(0x7fff), odd)), 16);
  const __m512i quiet = _mm512_or_si512(_mm512_srli_epi32(b, 16), _mm512_set1_epi32(0x40));
  return _mm512_cvtepi32_epi16(_mm512_mask_mov_epi32(rounded, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), quiet));
}

template <int Rows>
inline __attribute__((always_inline)) void multiply(const Bf16Product& p, const Bf16* a, const Bf16* b, Vec (&sum)[Rows][2]) {
  // Groups of four rows share a pointer: 12 separate ones would not fit the integer registers.
  const Bf16* group[(Rows + 3) / 4];
#pragma GCC unroll 4
  for (int g = 0; g < (Rows + 3) / 4; ++g) group[g] = a + 4 * g * p.a_row;
  const ptrdiff_t row = p.a_row, a_pair = p.a_pair, b_pair = p.b_pair;
  for (size_t d = p.pairs; d != 0; --d) {
    const auto b0 = reinterpret_cast<__m512bh>(_mm512_loadu_si512(b)), b1 = reinterpret_cast<__m512bh>(_mm512_loadu_si512(b + nr));
    b += b_pair;
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      int pair;
      __builtin_memcpy(&pair, group[r / 4] + (r % 4) * row, sizeof pair);
      const auto x = reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
      sum[r][0] = _mm512_dpbf16_ps(sum[r][0], x, b0);
      sum[r][1] = _mm512_dpbf16_ps(sum[r][1], x, b1);
    }
#pragma GCC unroll 4
    for (int g = 0; g < (Rows + 3) / 4; ++g) group[g] += a_pair;
  }
}

// The sums of row i and columns [j, j + 16) leave the registers.
inline __attribute__((always_inline)) void finish(const Bf16Product& p, Vec v, ptrdiff_t row, size_t j, __mmask16 m) {
  const ptrdiff_t at = row + static_cast<ptrdiff_t>(j);
  if (p.epilogue.scale) v = _mm512_mul_ps(v, load_f32(p.epilogue.scale + j, m));
  if (p.epilogue.bias) v = _mm512_add_ps(v, load_f32(p.epilogue.bias + j, m));
  if (p.residual) v = _mm512_add_ps(v, load_bf16(p.residual + at, m));
  if (p.wide_c) {
    if (p.epilogue.accumulate) v = _mm512_add_ps(v, load_f32(p.wide_c + at, m));
    _mm512_mask_storeu_ps(p.wide_c + at, m, v);
    return;
  }
  if (p.epilogue.accumulate) v = _mm512_add_ps(v, load_bf16(p.c + at, m));
  if (p.epilogue.relu) v = _mm512_max_ps(_mm512_setzero_ps(), v);  // in this order a NaN stays a NaN
  _mm256_mask_storeu_epi16(p.c + at, m, narrowed(v));
}

template <int Rows>
void tile(const Bf16Product& p, const Bf16* a, const Bf16* b, float* partial, size_t i, size_t j) {
  Vec sum[Rows][2];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
    sum[r][0] = p.first ? _mm512_setzero_ps() : _mm512_loadu_ps(partial + r * nr);
    sum[r][1] = p.first ? _mm512_setzero_ps() : _mm512_loadu_ps(partial + r * nr + lanes);
  }
  if (p.last && !p.wide_c) {
    // The output is written (and the residual read) when the sums are done: ask for the lines now.
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const ptrdiff_t at = p.c_rows[i + r] + static_cast<ptrdiff_t>(j);
      _mm_prefetch(reinterpret_cast<const char*>(p.c + at), _MM_HINT_T0);
      if (p.residual) _mm_prefetch(reinterpret_cast<const char*>(p.residual + at), _MM_HINT_T0);
    }
  }
  multiply<Rows>(p, a, b, sum);
  if (!p.last) {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      _mm512_storeu_ps(partial + r * nr, sum[r][0]);
      _mm512_storeu_ps(partial + r * nr + lanes, sum[r][1]);
    }
    return;
  }
  const size_t width = p.cols - j;
  const __mmask16 m0 = first_lanes(width), m1 = first_lanes(width > lanes ? width - lanes : 0);
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
    finish(p, sum[r][0], p.c_rows[i + r], j, m0);
    if (m1) finish(p, sum[r][1], p.c_rows[i + r], j + lanes, m1);
  }
}

using Tile = void (*)(const Bf16Product&, const Bf16*, const Bf16*, float*, size_t, size_t);
constexpr Tile tile_of_rows[] = {nullptr, tile<1>, tile<2>, tile<3>,  tile<4>,  tile<5>, tile<6>,
                                 tile<7>, tile<8>, tile<9>, tile<10>, tile<11>, tile<12>};

}  // namespace

// Panels outside, row tiles inside. The rows are dealt to the tiles as evenly as can be: a tile of one or two rows waits for its own sums.
void bf16_product_avx512bf16(const Bf16Product* product) {
  const Bf16Product p = *product;
  const size_t tiles = (p.rows + mr - 1) / mr;
  float* partial = p.partial;
  for (size_t j = 0; j < p.cols; j += nr) {
    const Bf16* b = p.b + static_cast<ptrdiff_t>(j / nr) * p.b_panel;
    for (size_t t = 0; t < tiles; ++t, partial += mr * nr) {
      const size_t i = t * p.rows / tiles, end = (t + 1) * p.rows / tiles;
      tile_of_rows[end - i](p, p.a + static_cast<ptrdiff_t>(i) * p.a_row, b, partial, i, j);
    }
  }
}

}  // namespace dura::cpu
#endif
