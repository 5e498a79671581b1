// Products of bf16 numbers with f32 sums for AVX-512 BF16: 12x32 tiles as in simd_avx512.cpp, two steps of the depth in one instruction.
// Compiled with its own flags: see simd_kernels.h for what may be included here.
#include "engine/cpu/simd_kernels.h"

#if defined(__AVX512BF16__)
#include <immintrin.h>

namespace dura::cpu {
namespace {

#include "engine/cpu/simd_avx512_vector.h"

#include "engine/cpu/simd_half.h"

#include "engine/cpu/simd_parts.h"

#include "engine/cpu/simd_epilogue.h"

constexpr size_t mr = 12, nr = 2 * lanes;

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

// Writes a tile of full width at column j from the registers.
template <int Rows, class E>
DURA_INLINE void finish_tile(const Bf16Product& p, const Vec (&sum)[Rows][2], E* c, const ptrdiff_t* rows, size_t j) {
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r)
    for (size_t k = 0; k < nr; k += lanes) finish(p.epilogue, sum[r][k / lanes], c, rows[r] + static_cast<ptrdiff_t>(j + k), j + k, lanes);
}

template <int Rows>
void tile(const Bf16Product& p, const Bf16* a, const Bf16* b, float* partial, size_t i, size_t j) {
  Vec sum[Rows][2];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
    sum[r][0] = p.first ? Vec{} : load(partial + r * nr);
    sum[r][1] = p.first ? Vec{} : load(partial + r * nr + lanes);
  }
  const bool wide = p.epilogue.stored == stored_f32;
  const ptrdiff_t* const rows = p.c_rows + i;
  if (p.last && !wide) prefetch_output(p, rows, Rows, j);
  multiply<Rows>(p, a, b, sum);
  if (p.last && p.cols - j >= nr) {
    if (wide)
      finish_tile<Rows>(p, sum, static_cast<float*>(p.c), rows, j);
    else
      finish_tile<Rows>(p, sum, static_cast<Bf16*>(p.c), rows, j);
    return;
  }
  float last[Rows * nr];
  float* const to = p.last ? last : partial;
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) store(to + r * nr, sum[r][0]), store(to + r * nr + lanes, sum[r][1]);
  if (p.last) finish_sums(p, last, nr, Rows, rows, j);
}

using Tile = void (*)(const Bf16Product&, const Bf16*, const Bf16*, float*, size_t, size_t);
constexpr Tile tile_of_rows[] = {nullptr, tile<1>, tile<2>, tile<3>,  tile<4>,  tile<5>, tile<6>,
                                 tile<7>, tile<8>, tile<9>, tile<10>, tile<11>, tile<12>};

// Panels outside, row tiles inside. The rows are dealt to the tiles as evenly as can be: a tile of one or two rows waits for its own sums.
void bf16_product(const Bf16Product* product) {
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

}  // namespace

const Bf16Kernel avx512bf16_bf16_kernel = {mr, nr, bf16_product};

}  // namespace dura::cpu
#endif
