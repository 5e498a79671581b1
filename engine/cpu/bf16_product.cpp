#include "engine/cpu/bf16_product.h"

#include <algorithm>
#include <cstring>

#include "engine/base/numbers.h"
#include "engine/base/parallel.h"
#include "engine/core/formula.h"

namespace dura::cpu {
namespace {

int64_t pairs_of(const GatherGrid& grid) { return ceil_div(grid.depth(), 2); }

// How a product is cut, as in conv_f32_direct.cpp: a task's rows of A (96 x 768, 147 KB), its sums and the panel at work stay in the
// second-level cache. Rows are cut evenly.
struct Cut {
  int64_t rows, cols, depth;  // depth: a multiple of 2 * tile_pairs
  int64_t row_blocks, col_blocks;
  bool gather;
  int64_t row_step;
};

constexpr int64_t target_rows = 96, target_depth = 768, target_cols = 512, wanted_tasks = 16;
constexpr int64_t tile_pairs = 16;  // what AMX takes at once
static_assert(target_depth <= 2 * static_cast<int64_t>(bf16_most_pairs));
// Rows of 4 KiB and more fall into the same few sets of the first-level cache.
constexpr int64_t longest_direct_row = 1024;

Cut cut_product(const Bf16Kernel& kernel, const GatherGrid& grid) {
  const int64_t nr = static_cast<int64_t>(kernel.nr), depth = 2 * pairs_of(grid), cells = grid.cells();
  Cut cut;
  cut.row_blocks = std::max<int64_t>(1, ceil_div(cells, target_rows));
  cut.rows = ceil_div(cells, cut.row_blocks);
  cut.row_blocks = cut.rows > 0 ? ceil_div(cells, cut.rows) : 0;
  cut.col_blocks = std::max(ceil_div(grid.out_c, target_cols),
                            std::min(ceil_div(grid.out_c, 2 * nr), ceil_div(wanted_tasks, std::max<int64_t>(1, cut.row_blocks))));
  cut.cols = round_up(ceil_div(grid.out_c, cut.col_blocks), nr);
  cut.col_blocks = ceil_div(grid.out_c, cut.cols);
  const int64_t steps = std::max<int64_t>(1, ceil_div(depth, target_depth));
  cut.depth = round_up(ceil_div(depth, steps), 2 * tile_pairs);
  cut.gather = !(grid.plain() && grid.in_c % 2 == 0 && grid.in_c <= longest_direct_row);
  cut.row_step = cut.depth + 32;
  return cut;
}

int64_t partial_floats(const Bf16Kernel& kernel, int64_t rows, int64_t cols) {
  return round_up(rows, static_cast<int64_t>(kernel.mr)) * round_up(cols, static_cast<int64_t>(kernel.nr));
}

}  // namespace

int64_t bf16_panel_elements(const Bf16Kernel& kernel, const GatherGrid& grid) {
  return round_up(grid.out_c, static_cast<int64_t>(kernel.nr)) * 2 * pairs_of(grid);
}

void pack_forward_bf16(const Bf16Kernel& kernel, const GatherGrid& grid, const Bf16* filter, Bf16* panels) {
  const int64_t nr = static_cast<int64_t>(kernel.nr), depth = grid.depth(), pairs = pairs_of(grid), cols = grid.out_c;
  constexpr int64_t piece = 16;  // one cache line of each filter at a time
  parallel_for(ceil_div(cols, nr), [&](int64_t panel) {
    Bf16* const target = panels + panel * nr * 2 * pairs;
    const Bf16* const source = filter + panel * nr * depth;
    const int64_t width = std::min(nr, cols - panel * nr);
    if (width < nr || depth % 2 != 0) std::memset(target, 0, static_cast<size_t>(nr * 2 * pairs) * sizeof(Bf16));
    for (int64_t d0 = 0; d0 < pairs; d0 += piece)
      for (int64_t j = 0; j < width; ++j)
        for (int64_t d = d0; d < std::min(pairs, d0 + piece); ++d)
          std::memcpy(target + 2 * (d * nr + j), source + j * depth + 2 * d,
                      static_cast<size_t>(std::min<int64_t>(2, depth - 2 * d)) * sizeof(Bf16));
  });
}

void pack_backward_bf16(const Bf16Kernel& kernel, const GatherGrid& grid, const ConvGeometry& g, const Bf16* filter, const float* scale,
                        Bf16* panels) {
  const int64_t nr = static_cast<int64_t>(kernel.nr), pairs = pairs_of(grid), cols = grid.out_c;
  parallel_for(ceil_div(cols, nr), [&](int64_t panel) {
    Bf16* const target = panels + panel * nr * 2 * pairs;
    const int64_t width = std::min(nr, cols - panel * nr);
    if (width < nr || grid.depth() % 2 != 0) std::memset(target, 0, static_cast<size_t>(nr * 2 * pairs) * sizeof(Bf16));
    int64_t d = 0;
    for (int64_t u = 0; u < grid.taps_u; ++u)
      for (int64_t v = 0; v < grid.taps_v; ++v) {
        const int64_t r = grid.filter_u + u * grid.filter_step, s = grid.filter_v + v * grid.filter_step;
        for (int64_t k = 0; k < g.K; ++k, ++d) {
          const Bf16* source = filter + ((k * g.R + r) * g.S + s) * g.C + panel * nr;
          Bf16* to = target + d / 2 * 2 * nr + d % 2;
          if (scale) {
            for (int64_t j = 0; j < width; ++j) to[2 * j] = formula::to_bf16(formula::from_bf16({source[j]}) * scale[k]).bits;
          } else {
            for (int64_t j = 0; j < width; ++j) to[2 * j] = source[j];
          }
        }
      }
  });
}

int64_t bf16_scratch_bytes(const Bf16Kernel& kernel, const GatherGrid& grid) {
  const Cut cut = cut_product(kernel, grid);
  const int64_t gathered = cut.gather ? cut.rows * cut.row_step * static_cast<int64_t>(sizeof(Bf16)) : 0;
  const int64_t partial =
      cut.depth < 2 * pairs_of(grid) ? partial_floats(kernel, cut.rows, cut.cols) * static_cast<int64_t>(sizeof(float)) : 0;
  return round_up(gathered, 64) + round_up(partial, 64);
}

void run_bf16(const Bf16Pass& pass) {
  const Bf16Kernel& kernel = pass.kernel;
  const GatherGrid& grid = pass.grid;
  const Cut cut = cut_product(kernel, grid);
  const int64_t cells = grid.cells(), depth = grid.depth(), padded = 2 * pairs_of(grid), nr = static_cast<int64_t>(kernel.nr);
  parallel_for(cut.row_blocks * cut.col_blocks, [&](int64_t task) {
    const int64_t m0 = task / cut.col_blocks * cut.rows, m1 = std::min(cells, m0 + cut.rows);
    const int64_t n0 = task % cut.col_blocks * cut.cols, n1 = std::min(grid.out_c, n0 + cut.cols);
    char* const mine = pass.scratch + worker_index() * pass.scratch_step;
    Bf16* const gathered = reinterpret_cast<Bf16*>(mine);
    ptrdiff_t offsets[target_rows];
    output_offsets(grid, {m0, m1}, offsets);

    Bf16Product block = {};
    block.rows = static_cast<size_t>(m1 - m0), block.cols = static_cast<size_t>(n1 - n0);
    block.b_panel = nr * padded, block.b_pair = 2 * nr;
    block.partial = reinterpret_cast<float*>(mine + (cut.gather ? round_up(cut.rows * cut.row_step * 2, 64) : 0));
    block.c = pass.output + n0, block.c_rows = offsets;
    block.epilogue = from_column(pass.epilogue, n0);
    block.a_pair = 2;
    int64_t d0 = 0;
    do {  // once also where no tap reaches these pixels: the sum is zero then
      const int64_t d1 = std::min(padded, d0 + cut.depth);
      block.pairs = static_cast<size_t>((d1 - d0) / 2);
      block.first = d0 == 0, block.last = d1 == padded;
      if (cut.gather) {
        const int64_t end = std::min(depth, d1);
        if (end > d0) gather_rows(grid, pass.input, {m0, m1}, {d0, end}, gathered, cut.row_step);
        if (end < d1)
          for (int64_t m = 0; m < m1 - m0; ++m) gathered[m * cut.row_step + end - d0] = 0;
        block.a = gathered, block.a_row = cut.row_step;
      } else {
        block.a = pass.input + m0 * grid.in_c + d0, block.a_row = grid.in_c;
      }
      block.b = pass.filter + n0 * padded + d0 * nr;
      kernel.product(&block);
      d0 = d1;
    } while (d0 < padded);
  });
}

// ---- filter gradient ----
namespace {

// A task makes `rows` x `cols` of the gradient (rows: output channels, columns: taps and input channels) from one chunk of pixels, in steps
// of `step` pixels whose pairs lie beside each other in copies: 144 x (256 + 256) numbers and 256 x 256 sums, 410 KB, stay in the
// second-level cache.
struct FilterCut {
  int64_t rows, cols, row_blocks, col_blocks;
  int64_t chunk, chunks;  // pixels of a chunk; number of chunks
  int64_t a_pair, b_pair;
  int64_t a_bytes, row_bytes, b_bytes, scratch;  // of one worker; row_bytes: two gathered rows
};

constexpr int64_t step = 144, filter_rows = 256, filter_cols = 256, filter_tasks = 32, shortest_chunk = 1024;
constexpr int64_t partial_limit = int64_t{2} << 20;  // floats of all chunks' sums

FilterCut cut_filter(const Bf16Kernel& kernel, const ConvGeometry& g) {
  const int64_t mr = static_cast<int64_t>(kernel.mr), nr = static_cast<int64_t>(kernel.nr), columns = g.R * g.S * g.C,
                pixels = g.N * g.P * g.Q;
  FilterCut cut;
  cut.rows = round_up(ceil_div(g.K, ceil_div(g.K, filter_rows)), mr);
  cut.row_blocks = ceil_div(g.K, cut.rows);
  cut.cols = round_up(ceil_div(columns, ceil_div(columns, filter_cols)), nr);
  cut.col_blocks = ceil_div(columns, cut.cols);
  const int64_t most = std::min(pixels / shortest_chunk, partial_limit / std::max<int64_t>(1, g.K * columns));
  cut.chunks = std::max<int64_t>(1, std::min(ceil_div(filter_tasks, cut.row_blocks * cut.col_blocks), most));
  cut.chunk = round_up(ceil_div(pixels, cut.chunks), step);
  cut.chunks = std::max<int64_t>(1, ceil_div(pixels, cut.chunk));
  cut.a_pair = 2 * cut.rows + 32, cut.b_pair = 2 * cut.cols + 32;
  cut.a_bytes = round_up(step / 2 * cut.a_pair * 2, 64), cut.b_bytes = round_up(step / 2 * cut.b_pair * 2, 64);
  cut.row_bytes = round_up(2 * std::max(cut.rows, cut.cols) * 2, 64);
  cut.scratch = cut.a_bytes + cut.b_bytes + cut.row_bytes + round_up(partial_floats(kernel, cut.rows, cut.cols) * 4, 64);
  return cut;
}

// Where pairs go; `rows` has room for two gathered rows.
struct PairTarget {
  Bf16 *rows, *pairs;
  int64_t pair_step;
};

// Columns `depth` of the gathered rows `cells`, two rows interleaved at a time; a last row without a second one is paired with zeros.
void gather_pairs(const Bf16Kernel& kernel, const GatherGrid& grid, const Bf16* input, Range cells, Range depth, PairTarget to) {
  const int64_t width = depth.end - depth.begin;
  for (int64_t m = cells.begin; m < cells.end; m += 2, to.pairs += to.pair_step) {
    const bool whole = m + 1 < cells.end;
    const Bf16 *first = input + m * grid.in_c + depth.begin, *second = first + grid.in_c;
    if (!grid.plain() || !whole) {
      gather_rows(grid, input, {m, std::min(m + 2, cells.end)}, depth, to.rows, width);
      if (!whole) std::memset(to.rows + width, 0, static_cast<size_t>(width) * sizeof(Bf16));
      first = to.rows, second = to.rows + width;
    }
    kernel.pair_rows(first, second, static_cast<size_t>(width), to.pairs);
  }
}

}  // namespace

int64_t bf16_filter_gradient_bytes(const Bf16Kernel& kernel, const ConvGeometry& g) {
  const FilterCut cut = cut_filter(kernel, g);
  return num_threads() * cut.scratch + (cut.chunks > 1 ? cut.chunks * g.K * g.R * g.S * g.C * static_cast<int64_t>(sizeof(float)) : 0);
}

void bf16_filter_gradient(const Bf16Kernel& kernel, const ConvGeometry& g, const Bf16* x, const Bf16* dy, char* workspace, bool accumulate,
                          float* dw) {
  const FilterCut cut = cut_filter(kernel, g);
  const GatherGrid grid = forward_grid(g);
  GatherGrid dy_rows;  // dy itself, pixel by pixel
  dy_rows.images = g.N, dy_rows.rows = dy_rows.in_h = g.P, dy_rows.cols = dy_rows.in_w = g.Q, dy_rows.in_c = g.K;
  dy_rows.taps_u = dy_rows.taps_v = 1;
  const int64_t columns = grid.depth(), pixels = grid.cells(), count = g.K * columns;
  float* const sums = cut.chunks > 1 ? reinterpret_cast<float*>(workspace + num_threads() * cut.scratch) : dw;
  const int64_t blocks = cut.row_blocks * cut.col_blocks;

  parallel_for(cut.chunks * blocks, [&](int64_t task) {
    const int64_t chunk = task / blocks, k0 = task % blocks / cut.col_blocks * cut.rows, n0 = task % cut.col_blocks * cut.cols;
    const int64_t k1 = std::min(g.K, k0 + cut.rows), n1 = std::min(columns, n0 + cut.cols);
    char* const mine = workspace + worker_index() * cut.scratch;
    Bf16 *const a = reinterpret_cast<Bf16*>(mine), *const b = reinterpret_cast<Bf16*>(mine + cut.a_bytes);
    Bf16* const rows = reinterpret_cast<Bf16*>(mine + cut.a_bytes + cut.b_bytes);
    ptrdiff_t offsets[filter_rows + 16];
    for (int64_t k = k0; k < k1; ++k) offsets[k - k0] = k * columns;

    Bf16Product block = {};
    block.rows = static_cast<size_t>(k1 - k0), block.cols = static_cast<size_t>(n1 - n0);
    block.a = a, block.a_row = 2, block.a_pair = cut.a_pair;
    block.b = b, block.b_panel = 2 * static_cast<ptrdiff_t>(kernel.nr), block.b_pair = cut.b_pair;
    block.partial = reinterpret_cast<float*>(mine + cut.a_bytes + cut.b_bytes + cut.row_bytes);
    block.c = sums + (cut.chunks > 1 ? chunk * count : 0) + n0, block.c_rows = offsets;
    block.epilogue.stored = stored_f32;
    block.epilogue.accumulate = cut.chunks == 1 && accumulate;
    const int64_t begin = chunk * cut.chunk, end = std::min(pixels, begin + cut.chunk);
    for (int64_t m0 = begin; m0 < end; m0 += step) {
      const int64_t m1 = std::min(end, m0 + step);
      gather_pairs(kernel, dy_rows, dy, {m0, m1}, {k0, k1}, {rows, a, cut.a_pair});
      gather_pairs(kernel, grid, x, {m0, m1}, {n0, n1}, {rows, b, cut.b_pair});
      block.pairs = static_cast<size_t>((m1 - m0 + 1) / 2);
      block.first = m0 == begin, block.last = m1 == end;
      kernel.product(&block);
    }
  });

  if (cut.chunks == 1) return;
  parallel_ranges(count, 4096, [&](int64_t begin, int64_t end) {
    if (!accumulate) std::copy(sums + begin, sums + end, dw + begin);
    for (int64_t chunk = accumulate ? 0 : 1; chunk < cut.chunks; ++chunk) {
      const float* part = sums + chunk * count;
      for (int64_t i = begin; i < end; ++i) dw[i] += part[i];
    }
  });
}

}  // namespace dura::cpu
