// Kernels for AVX-512 BF16: those of simd_avx512.cpp, where the processor itself rounds to bf16, and products of bf16 numbers with f32 sums
// in the same 12x32 tiles, two steps of the depth in one instruction. Compiled with its own flags: see simd_kernels.h for what may be
// included here.
#include "engine/cpu/simd_kernels.h"

#if defined(__AVX512BF16__)
#include <immintrin.h>

#define DURA_TILE_ROWS 12
#define DURA_AVX512_PAIRS

namespace dura::cpu {
namespace {

#include "engine/cpu/simd_avx512_vector.h"

constexpr size_t mr = DURA_TILE_ROWS;

#include "engine/cpu/simd_half.h"

#include "engine/cpu/simd_parts.h"

#include "engine/cpu/simd_epilogue.h"

#include "engine/cpu/simd_rows.h"

#include "engine/cpu/simd_body.h"

#include "engine/cpu/simd_pairs.h"

DURA_INLINE void store_both(float* to, const Vec (&v)[2]) { store(to, v[0]), store(to + lanes, v[1]); }
// The processor's own rounding: to nearest even, subnormal numbers to zero.
DURA_INLINE __m512i rounded(const Vec (&v)[2]) { return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(v[1], v[0])); }
DURA_INLINE void store_both(Bf16* to, const Vec (&v)[2]) { _mm512_storeu_si512(to, rounded(v)); }

template <int Rows>
DURA_INLINE void multiply(const Bf16Product& p, const Bf16* a, const Bf16* b, Vec (&sum)[Rows][2]) {
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

template <int Rows>
void bf16_tile(const Bf16Product& p, const Bf16* a, const Bf16* b, float* partial, size_t i, size_t j) {
  Vec sum[Rows][2];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
    sum[r][0] = p.first ? Vec{} : load(partial + r * nr);
    sum[r][1] = p.first ? Vec{} : load(partial + r * nr + lanes);
  }
  const bool wide = p.epilogue.stored == stored_f32;
  const ptrdiff_t* const rows = p.c_rows + i;
  multiply<Rows>(p, a, b, sum);
  if (p.last && p.cols - j >= nr) {
    const auto write = [&]<class E>(E * c, const auto& put) __attribute__((always_inline)) {
      finish_tile<Rows>(p.epilogue, sum, c, rows, j);
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) put(c + rows[r] + j, sum[r]);
    };
    const auto keep = [](auto* to, const Vec(&v)[2]) __attribute__((always_inline)) { store_both(to, v); };
    const auto stream = [](Bf16 * to, const Vec(&v)[2]) __attribute__((always_inline)) {
      _mm512_stream_si512(reinterpret_cast<__m512i*>(to), rounded(v));
    };
    if (wide) return write(static_cast<float*>(p.c), keep);
    return p.epilogue.stream ? write(static_cast<Bf16*>(p.c), stream) : write(static_cast<Bf16*>(p.c), keep);
  }
  float last[Rows * nr];
  float* const to = p.last ? last : partial;
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) store(to + r * nr, sum[r][0]), store(to + r * nr + lanes, sum[r][1]);
  if (p.last) finish_sums(p, last, nr, Rows, rows, j);
}

using Bf16Tile = void (*)(const Bf16Product&, const Bf16*, const Bf16*, float*, size_t, size_t);
constexpr Bf16Tile bf16_tile_of_rows[] = {nullptr,       bf16_tile<1>,  bf16_tile<2>, bf16_tile<3>, bf16_tile<4>,
                                          bf16_tile<5>,  bf16_tile<6>,  bf16_tile<7>, bf16_tile<8>, bf16_tile<9>,
                                          bf16_tile<10>, bf16_tile<11>, bf16_tile<12>};

// The rows are dealt to the tiles as evenly as can be: a tile of one or two rows waits for its own sums.
void bf16_product(const Bf16Product* product) {
  const Bf16Product p = *product;
  const size_t tiles = (p.rows + mr - 1) / mr, panels = (p.cols + nr - 1) / nr;
  const bool fetch = p.last && p.epilogue.stored == stored_bf16 && (p.epilogue.residual || !p.epilogue.stream);
  for_tiles(tiles, panels, p.pairs * p.cols * 2 * sizeof(Bf16), [&](size_t t, size_t panel) {
    const size_t i = t * p.rows / tiles, end = (t + 1) * p.rows / tiles;
    if (fetch && t == 0) prefetch_output(p, p.c_rows, end, panel * nr);
    if (fetch && t + 1 < tiles) prefetch_output(p, p.c_rows + end, (t + 2) * p.rows / tiles - end, panel * nr);
    bf16_tile_of_rows[end - i](p, p.a + static_cast<ptrdiff_t>(i) * p.a_row, p.b + static_cast<ptrdiff_t>(panel) * p.b_panel,
                               p.partial + (panel * tiles + t) * mr * nr, i, panel * nr);
  });
  if (p.epilogue.stream) _mm_sfence();
}

}  // namespace

// Constant: nothing may run here before the processor was asked.
constinit const KernelSet avx512bf16_kernels = kernel_set("avx512bf16", {mr, nr, bf16_product, pair_rows});

}  // namespace dura::cpu
#endif
