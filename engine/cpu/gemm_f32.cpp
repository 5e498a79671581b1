#include "engine/cpu/gemm_f32.h"

#include <algorithm>

#include "engine/base/check.h"
#include "engine/base/numbers.h"
#include "engine/cpu/cpu_features.h"
#include "engine/base/parallel.h"

namespace dura::cpu {

namespace {

// to[r * to_row + k] = from[k * from_row + r], for k, r < 4
void transpose_four(const float* from, int64_t from_row, float* to, int64_t to_row) {
  typedef float Four __attribute__((vector_size(16), aligned(4), may_alias));
  const auto row = [&](int64_t k) { return *reinterpret_cast<const Four*>(from + k * from_row); };
  const Four low01 = __builtin_shufflevector(row(0), row(1), 0, 4, 1, 5), high01 = __builtin_shufflevector(row(0), row(1), 2, 6, 3, 7);
  const Four low23 = __builtin_shufflevector(row(2), row(3), 0, 4, 1, 5), high23 = __builtin_shufflevector(row(2), row(3), 2, 6, 3, 7);
  const auto write = [&](int64_t r, Four v) { *reinterpret_cast<Four*>(to + r * to_row) = v; };
  write(0, __builtin_shufflevector(low01, low23, 0, 1, 4, 5)), write(1, __builtin_shufflevector(low01, low23, 2, 3, 6, 7));
  write(2, __builtin_shufflevector(high01, high23, 0, 1, 4, 5)), write(3, __builtin_shufflevector(high01, high23, 2, 3, 6, 7));
}

}  // namespace

void gemm_f32(const Gemm& g) {
  const int64_t m = g.m, n = g.n, depth = g.depth;
  const KernelSet& set = kernels();
  const int64_t nr = static_cast<int64_t>(set.nr);
  // A task packs one panel of B piece by piece on its stack and multiplies up to 48 rows of A with it.
  constexpr int64_t piece = 256, widest = 64, most_rows = 48;
  DURA_CHECK(nr <= widest, "gemm_f32: the kernel set ", set.name, " has panels of ", nr, " columns, at most ", widest, " are foreseen");
  const int64_t panels = ceil_div(n, nr), row_blocks = ceil_div(m, most_rows);
  parallel_for(panels * row_blocks, [&](int64_t task) {
    const int64_t j0 = task % panels * nr, width = std::min(nr, n - j0), i0 = task / panels * most_rows, rows = std::min(most_rows, m - i0);
    float panel[piece * widest];
    float partial[(most_rows + 16) * widest];
    ptrdiff_t offsets[most_rows];
    for (int64_t i = 0; i < rows; ++i) offsets[i] = (i0 + i) * n;
    BlockProduct block = {};
    block.rows = static_cast<size_t>(rows), block.cols = static_cast<size_t>(width);
    block.a_row = g.transpose_a ? 1 : depth, block.a_depth = g.transpose_a ? m : 1;
    block.b = panel, block.b_panel = 0, block.b_depth = nr;
    block.partial = partial;
    block.c = g.c + j0, block.c_rows = offsets;
    block.epilogue.bias = g.bias ? g.bias + j0 : nullptr;
    block.epilogue.accumulate = g.accumulate;
    std::fill(panel, panel + piece * nr, 0.0f);
    int64_t d0 = 0;
    do {  // once for a depth of 0 too: the product is zero then
      const int64_t d1 = std::min(depth, d0 + piece);
      if (g.transpose_b) {
        for (int64_t j = 0; j < width; j += 4) {
          float rows_of_b[4][piece] = {};
          for (int64_t r = 0; r < std::min<int64_t>(4, width - j); ++r)
            set.widen((g.b + ((j0 + j + r) * depth + d0)).data, g.b.stored, static_cast<size_t>(d1 - d0), rows_of_b[r]);
          for (int64_t d = 0; d < d1 - d0; d += 4) transpose_four(&rows_of_b[0][d], piece, panel + d * nr + j, nr);
        }
      } else {
        for (int64_t d = d0; d < d1; ++d)
          set.widen((g.b + (d * n + j0)).data, g.b.stored, static_cast<size_t>(width), panel + (d - d0) * nr);
      }
      block.depth = static_cast<size_t>(d1 - d0);
      block.first = d0 == 0, block.last = d1 == depth;
      block.a = g.a + i0 * block.a_row + d0 * block.a_depth;
      set.block_product(&block);
      d0 = d1;
    } while (d0 < depth);
  });
}

}  // namespace dura::cpu
