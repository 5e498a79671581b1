#include "engine/cpu/conv_f32_direct.h"

#include <algorithm>

#include "engine/base/numbers.h"
#include "engine/base/parallel.h"
#include "engine/cpu/element.h"

namespace dura::cpu {
namespace {

// How a product is cut. A task takes `rows` x `cols` of the output through the whole depth in steps of `depth`; its rows of A (96 x 384
// floats, 150 KB), its sums and the panel at work stay in the second-level cache.
struct Cut {
  int64_t rows, cols, depth;
  int64_t row_blocks, col_blocks;
  bool gather;       // copy rows of A together first, 16-bit numbers as floats
  bool shared;       // all of them before the tasks: several tasks need each row
  int64_t row_step;  // of the copied rows
};

constexpr int64_t target_rows = 96, target_depth = 384, target_cols = 512, wanted_tasks = 16;
// Rows of 4 KiB and more fall into the same few sets of the first-level cache: twelve of them evict each other. Copying spreads them.
constexpr int64_t longest_direct_row = 512;
// Copies for all tasks should stay in a last-level cache: those of one image in the network's last stages do. Of 16-bit numbers no whole
// image is widened.
constexpr int64_t shared_floats = 512 << 10;

Cut cut_product(const KernelSet& set, const GatherGrid& grid, Stored stored) {
  const int64_t nr = static_cast<int64_t>(set.nr);
  const int64_t depth = grid.depth(), cells = grid.cells();
  Cut cut;
  cut.row_blocks = std::max<int64_t>(1, ceil_div(cells, target_rows));
  cut.rows = ceil_div(cells, cut.row_blocks);  // evenly
  cut.col_blocks =
      std::max(ceil_div(grid.out_c, target_cols), std::min(ceil_div(grid.out_c, 2 * nr), ceil_div(wanted_tasks, cut.row_blocks)));
  cut.cols = round_up(ceil_div(grid.out_c, cut.col_blocks), nr);
  cut.col_blocks = ceil_div(grid.out_c, cut.cols);
  const int64_t steps = std::max<int64_t>(1, ceil_div(depth, target_depth));
  cut.depth = ceil_div(depth, steps);
  cut.gather = stored != stored_f32 || !(grid.plain() && grid.in_c <= longest_direct_row);
  cut.row_step = whole_lines(cut.depth) + 16;
  const int64_t whole_row = whole_lines(depth) + 16;
  cut.shared = stored == stored_f32 && cut.gather && depth > 0 && cut.col_blocks > 1 && cells * whole_row <= shared_floats;
  if (cut.shared) cut.row_step = whole_row;
  return cut;
}

}  // namespace

int64_t panel_floats(const KernelSet& set, const GatherGrid& grid) {
  const int64_t nr = static_cast<int64_t>(set.nr);
  return round_up(grid.out_c, nr) * grid.depth();
}

template <class T>
void pack_forward_panels(const KernelSet& set, const GatherGrid& grid, const T* filter, float* panels) {
  const int64_t nr = static_cast<int64_t>(set.nr), depth = grid.depth(), cols = grid.out_c;
  constexpr int64_t piece = 16;  // one cache line of each filter at a time
  parallel_for(ceil_div(cols, nr), [&](int64_t panel) {
    float* target = panels + panel * nr * depth;
    const T* source = filter + panel * nr * depth;
    const int64_t width = std::min(nr, cols - panel * nr);
    for (int64_t d0 = 0; d0 < depth; d0 += piece) {
      const int64_t d1 = std::min(depth, d0 + piece);
      for (int64_t j = 0; j < nr; ++j)
        for (int64_t d = d0; d < d1; ++d) target[d * nr + j] = j < width ? Element<T>::load(source[j * depth + d]) : 0.0f;
    }
  });
}

template <class T>
void pack_backward_panels(const KernelSet& set, const GatherGrid& grid, const ConvGeometry& g, const T* filter, const float* scale,
                          float* panels) {
  const int64_t nr = static_cast<int64_t>(set.nr), depth = grid.depth(), cols = grid.out_c;
  parallel_for(ceil_div(cols, nr), [&](int64_t panel) {
    float* target = panels + panel * nr * depth;
    const int64_t width = std::min(nr, cols - panel * nr);
    for (int64_t u = 0; u < grid.taps_u; ++u) {
      for (int64_t v = 0; v < grid.taps_v; ++v) {
        const int64_t r = grid.filter_u + u * grid.filter_step, s = grid.filter_v + v * grid.filter_step;
        for (int64_t k = 0; k < g.K; ++k, target += nr) {
          const T* source = filter + ((k * g.R + r) * g.S + s) * g.C + panel * nr;
          const float factor = scale ? scale[k] : 1.0f;
          for (int64_t j = 0; j < width; ++j) target[j] = Element<T>::load(source[j]) * factor;
          for (int64_t j = width; j < nr; ++j) target[j] = 0.0f;
        }
      }
    }
  });
}

template void pack_forward_panels(const KernelSet&, const GatherGrid&, const float*, float*);
template void pack_forward_panels(const KernelSet&, const GatherGrid&, const f16*, float*);
template void pack_forward_panels(const KernelSet&, const GatherGrid&, const bf16*, float*);
template void pack_backward_panels(const KernelSet&, const GatherGrid&, const ConvGeometry&, const float*, const float*, float*);
template void pack_backward_panels(const KernelSet&, const GatherGrid&, const ConvGeometry&, const f16*, const float*, float*);
template void pack_backward_panels(const KernelSet&, const GatherGrid&, const ConvGeometry&, const bf16*, const float*, float*);

int64_t direct_scratch_floats(const KernelSet& set, const GatherGrid& grid, Stored stored) {
  const Cut cut = cut_product(set, grid, stored);
  const int64_t partial = round_up(cut.rows, static_cast<int64_t>(set.mr)) * cut.cols;
  return (cut.gather && !cut.shared ? cut.rows * cut.row_step : 0) + (cut.depth < grid.depth() ? partial : 0);
}

int64_t direct_shared_floats(const KernelSet& set, const GatherGrid& grid, Stored stored) {
  const Cut cut = cut_product(set, grid, stored);
  return cut.shared ? grid.cells() * cut.row_step : 0;
}

void run_direct(const GridPass& pass) {
  const KernelSet& set = pass.set;
  const GatherGrid& grid = pass.grid;
  const Cut cut = cut_product(set, grid, pass.input.stored);
  const int64_t cells = grid.cells(), depth = grid.depth(), nr = static_cast<int64_t>(set.nr);
  if (cut.shared) {
    constexpr int64_t rows_at_once = 8;
    parallel_ranges(cells, rows_at_once, [&](int64_t begin, int64_t end) {
      gather_floats(set, grid, pass.input, {begin, end}, {0, depth}, pass.shared + begin * cut.row_step, cut.row_step);
    });
  }
  parallel_for(cut.row_blocks * cut.col_blocks, [&](int64_t task) {
    const int64_t m0 = task / cut.col_blocks * cut.rows, m1 = std::min(cells, m0 + cut.rows);
    const int64_t n0 = task % cut.col_blocks * cut.cols, n1 = std::min(grid.out_c, n0 + cut.cols);
    float* const gathered = pass.scratch + worker_index() * pass.scratch_step;
    ptrdiff_t offsets[target_rows];
    output_offsets(grid, {m0, m1}, offsets);

    BlockProduct block = {};
    block.rows = static_cast<size_t>(m1 - m0), block.cols = static_cast<size_t>(n1 - n0);
    block.b_panel = nr * depth, block.b_depth = nr;
    block.partial = gathered + (cut.gather && !cut.shared ? cut.rows * cut.row_step : 0);
    block.c = static_cast<char*>(pass.output) + n0 * pass.input.bytes(), block.c_rows = offsets;
    block.epilogue = from_column(pass.epilogue, n0);
    int64_t d0 = 0;
    do {  // once also where no tap reaches these pixels: the sum is zero then
      const int64_t d1 = std::min(depth, d0 + cut.depth);
      block.depth = static_cast<size_t>(d1 - d0);
      block.first = d0 == 0, block.last = d1 == depth;
      if (cut.shared) {
        block.a = pass.shared + m0 * cut.row_step + d0, block.a_row = cut.row_step;
      } else if (cut.gather) {
        if (d1 > d0) gather_floats(set, grid, pass.input, {m0, m1}, {d0, d1}, gathered, cut.row_step);
        block.a = gathered, block.a_row = cut.row_step;
      } else {
        block.a = static_cast<const float*>(pass.input.data) + m0 * grid.in_c + d0, block.a_row = grid.in_c;
      }
      block.a_depth = 1;
      block.b = pass.filter + n0 * depth + d0 * nr;
      set.block_product(&block);
      d0 = d1;
    } while (d0 < depth);
  });
}

}  // namespace dura::cpu
