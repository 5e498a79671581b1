#include "engine/cpu/conv_f32_filter.h"

#include <algorithm>

#include "engine/base/numbers.h"
#include "engine/cpu/conv_f32_gather.h"
#include "engine/base/parallel.h"

namespace dura::cpu {
namespace {

// A task makes `rows` x `cols` of the gradient (rows: output channels, columns: taps and input channels) from one chunk of pixels, in steps
// of `step` pixels: 144 x (256 + 256) floats and 256 x 256 sums, 560 KB, stay in the second-level cache.
struct FilterCut {
  int64_t rows, cols, row_blocks, col_blocks;
  int64_t chunk, chunks;   // pixels of a chunk; number of chunks
  int64_t a_step, b_step;  // row lengths of the copied pixels
  bool gather_a, gather_b;
  int64_t scratch;  // floats of one worker
};

constexpr int64_t step = 144, target_rows = 256, target_cols = 256, wanted_tasks = 32, shortest_chunk = 1024;
constexpr int64_t partial_limit = int64_t{2} << 20;  // floats of all chunks' sums

FilterCut cut_filter(const KernelSet& set, const ConvGeometry& g, Stored stored) {
  const int64_t mr = static_cast<int64_t>(set.mr), nr = static_cast<int64_t>(set.nr), columns = g.R * g.S * g.C, pixels = g.N * g.P * g.Q;
  FilterCut cut;
  cut.row_blocks = ceil_div(g.K, target_rows);
  cut.rows = round_up(ceil_div(g.K, cut.row_blocks), mr);
  cut.row_blocks = ceil_div(g.K, cut.rows);
  cut.col_blocks = ceil_div(columns, target_cols);
  cut.cols = round_up(ceil_div(columns, cut.col_blocks), nr);
  cut.col_blocks = ceil_div(columns, cut.cols);
  const int64_t most = std::min(pixels / shortest_chunk, partial_limit / std::max<int64_t>(1, g.K * columns));
  cut.chunks = std::max<int64_t>(1, std::min(ceil_div(wanted_tasks, cut.row_blocks * cut.col_blocks), most));
  cut.chunk = round_up(ceil_div(pixels, cut.chunks), step);
  cut.chunks = std::max<int64_t>(1, ceil_div(pixels, cut.chunk));
  const bool plain = forward_grid(g).plain();
  cut.gather_a = stored != stored_f32 || g.K > target_rows;
  cut.gather_b = stored != stored_f32 || !(plain && g.C <= target_cols && g.C % nr == 0);
  cut.a_step = cut.gather_a ? whole_lines(cut.rows) + 16 : g.K;
  cut.b_step = cut.gather_b ? cut.cols + 16 : g.C;
  cut.scratch = (cut.gather_a ? step * cut.a_step : 0) + (cut.gather_b ? step * cut.b_step : 0) + cut.rows * cut.cols;
  return cut;
}

}  // namespace

int64_t filter_gradient_floats(const KernelSet& set, const ConvGeometry& g, Stored stored) {
  const FilterCut cut = cut_filter(set, g, stored);
  return num_threads() * cut.scratch + (cut.chunks > 1 ? cut.chunks * g.K * g.R * g.S * g.C : 0);
}

void filter_gradient(const KernelSet& set, const ConvGeometry& g, StoredPointer x, StoredPointer dy, float* workspace, bool accumulate,
                     float* dw) {
  const FilterCut cut = cut_filter(set, g, x.stored);
  const GatherGrid grid = forward_grid(g);
  GatherGrid dy_rows;  // dy itself, pixel by pixel
  dy_rows.images = g.N, dy_rows.rows = dy_rows.in_h = g.P, dy_rows.cols = dy_rows.in_w = g.Q, dy_rows.in_c = g.K;
  dy_rows.taps_u = dy_rows.taps_v = 1;
  const int64_t columns = grid.depth(), pixels = grid.cells(), count = g.K * columns;
  float* const sums = cut.chunks > 1 ? workspace + num_threads() * cut.scratch : dw;
  const int64_t blocks = cut.row_blocks * cut.col_blocks;

  parallel_for(cut.chunks * blocks, [&](int64_t task) {
    const int64_t chunk = task / blocks, k0 = task % blocks / cut.col_blocks * cut.rows, n0 = task % cut.col_blocks * cut.cols;
    const int64_t k1 = std::min(g.K, k0 + cut.rows), n1 = std::min(columns, n0 + cut.cols);
    float* const a = workspace + worker_index() * cut.scratch;
    float* const b = a + (cut.gather_a ? step * cut.a_step : 0);
    ptrdiff_t offsets[target_rows + 16];
    for (int64_t k = k0; k < k1; ++k) offsets[k - k0] = k * columns;

    BlockProduct block = {};
    block.rows = static_cast<size_t>(k1 - k0), block.cols = static_cast<size_t>(n1 - n0);
    block.a_row = 1, block.a_depth = cut.a_step;
    block.b_panel = static_cast<ptrdiff_t>(set.nr), block.b_depth = cut.b_step;
    block.partial = b + (cut.gather_b ? step * cut.b_step : 0);
    block.c = sums + (cut.chunks > 1 ? chunk * count : 0) + n0, block.c_rows = offsets;
    block.epilogue.accumulate = cut.chunks == 1 && accumulate;
    const int64_t begin = chunk * cut.chunk, end = std::min(pixels, begin + cut.chunk);
    for (int64_t m0 = begin; m0 < end; m0 += step) {
      const int64_t m1 = std::min(end, m0 + step);
      if (cut.gather_a) gather_floats(set, dy_rows, dy, {m0, m1}, {k0, k1}, a, cut.a_step);
      if (cut.gather_b) gather_floats(set, grid, x, {m0, m1}, {n0, n1}, b, cut.b_step);
      block.a = cut.gather_a ? a : static_cast<const float*>(dy.data) + m0 * g.K + k0;
      block.b = cut.gather_b ? b : static_cast<const float*>(x.data) + m0 * g.C + n0;
      block.depth = static_cast<size_t>(m1 - m0);
      block.first = m0 == begin, block.last = m1 == end;
      set.block_product(&block);
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
