#include "engine/cpu/winograd_f32_filter.h"

#include <algorithm>

#include "engine/base/numbers.h"
#include "engine/cpu/winograd_f32.h"
#include "engine/cpu/winograd_f32_tiles.h"
#include "engine/base/parallel.h"

namespace dura::cpu {
namespace {

constexpr int64_t frequencies = winograd_frequencies;

// Tiles are taken in groups: transformed inputs V (frequency, tile, C) and output gradients D (frequency, tile, K block) of a group, then
// sums M (frequency, K block, C) += D^T V. Output channels are taken in blocks so that M stays small too; where one group holds all tiles,
// V is made for the first block only.
struct FilterTileCut {
  int64_t tiles, group, groups;
  int64_t k_block, k_blocks;
  int64_t v_row, v_step, d_row, d_step, m_step;
  int64_t d_offset, m_offset, zeros_offset, floats;
};

FilterTileCut cut_filter_tiles(const KernelSet& set, const ConvGeometry& g) {
  constexpr int64_t group_floats = int64_t{2} << 20,
                    sum_floats = 2400 << 10;  // 8 MiB of V and D, 9.4 MiB of M: with luck in the last-level cache
  const int64_t nr = static_cast<int64_t>(set.nr);
  FilterTileCut cut;
  cut.tiles = WinogradTiles(forward_grid(g)).count();
  cut.k_blocks = ceil_div(frequencies * g.K * g.C, sum_floats);
  cut.k_block = whole_lines(ceil_div(g.K, cut.k_blocks));
  cut.k_blocks = ceil_div(g.K, cut.k_block);
  const int64_t fitting = std::max<int64_t>(64, group_floats / (frequencies * (g.C + cut.k_block)));
  cut.groups = ceil_div(cut.tiles, fitting);
  cut.group = ceil_div(cut.tiles, cut.groups);
  cut.groups = ceil_div(cut.tiles, cut.group);
  // A cache line more than a multiple, against rows that fall into the same sets of the cache. Panels of V are read to their full width.
  cut.v_row = round_up(g.C, nr) + 16;
  cut.v_step = cut.group * cut.v_row + 16;
  cut.d_row = whole_lines(cut.k_block) + 16;
  cut.d_step = cut.group * cut.d_row + 16;
  cut.m_step = whole_lines(cut.k_block * g.C) + 16;
  cut.d_offset = frequencies * cut.v_step;
  cut.m_offset = cut.d_offset + frequencies * cut.d_step;
  cut.zeros_offset = cut.m_offset + frequencies * cut.m_step;
  cut.floats = cut.zeros_offset + std::max(g.C, g.K);
  return cut;
}

}  // namespace

int64_t winograd_filter_gradient_floats(const KernelSet& set, const ConvGeometry& g) { return cut_filter_tiles(set, g).floats; }

void winograd_filter_gradient(const KernelSet& set, const ConvGeometry& g, const float* x, const float* dy, float* workspace,
                              bool accumulate, float* dw) {
  const FilterTileCut cut = cut_filter_tiles(set, g);
  const WinogradTiles tiles(forward_grid(g));
  float *const v = workspace, *const d = workspace + cut.d_offset, *const m = workspace + cut.m_offset,
               *const zeros = workspace + cut.zeros_offset;
  std::fill(zeros, zeros + std::max(g.C, g.K), 0.0f);

  for (int64_t k0 = 0; k0 < g.K; k0 += cut.k_block) {
    const int64_t k1 = std::min(g.K, k0 + cut.k_block);
    for (int64_t first = 0; first < cut.tiles; first += cut.group) {
      const int64_t last = std::min(cut.tiles, first + cut.group);
      const bool make_v = k0 == 0 || cut.groups > 1;
      parallel_ranges(last - first, 8, [&](int64_t begin, int64_t end) {
        for (int64_t t = begin; t < end; ++t) {
          if (make_v) {
            const float* pixels[frequencies];
            tiles.input_pixels(first + t, x, zeros, pixels);
            const WinogradPatch patch = {
                .pixels = pixels, .channels = static_cast<size_t>(g.C), .v = v + t * cut.v_row, .v_step = cut.v_step};
            set.winograd_input(&patch);
          }
          ptrdiff_t offsets[winograd_outputs * winograd_outputs];
          const float* pixels[winograd_outputs * winograd_outputs];
          tiles.output_offsets(first + t, offsets);
          for (int i = 0; i < winograd_outputs * winograd_outputs; ++i) pixels[i] = offsets[i] < 0 ? zeros : dy + offsets[i] + k0;
          const WinogradPatch patch = {
              .pixels = pixels, .channels = static_cast<size_t>(k1 - k0), .v = d + t * cut.d_row, .v_step = cut.d_step};
          set.winograd_output_gradient(&patch);
        }
      });
      // One task is one frequency and up to 144 output channels.
      constexpr int64_t task_rows = 144;
      const int64_t row_blocks = ceil_div(k1 - k0, task_rows);
      parallel_for(frequencies * row_blocks, [&](int64_t task) {
        const int64_t f = task / row_blocks, r0 = task % row_blocks * task_rows, r1 = std::min(k1 - k0, r0 + task_rows);
        ptrdiff_t rows[task_rows];
        for (int64_t r = r0; r < r1; ++r) rows[r - r0] = r * g.C;
        BlockProduct block = {};
        block.rows = static_cast<size_t>(r1 - r0), block.cols = static_cast<size_t>(g.C), block.depth = static_cast<size_t>(last - first);
        block.a = d + f * cut.d_step + r0, block.a_tile = static_cast<ptrdiff_t>(set.mr), block.a_row = 1, block.a_depth = cut.d_row;
        block.b = v + f * cut.v_step, block.b_panel = static_cast<ptrdiff_t>(set.nr), block.b_depth = cut.v_row;
        block.first = block.last = 1;
        block.c = m + f * cut.m_step, block.c_rows = rows;
        block.partial = block.c;  // not touched: the depth is in one piece
        block.epilogue.accumulate = first > 0;
        set.block_product(&block);
      });
    }
    parallel_for(k1 - k0, [&](int64_t k) {
      const WinogradFilter gradient = {.from = m + k * g.C,
                                       .from_step = cut.m_step,
                                       .channels = static_cast<size_t>(g.C),
                                       .to = dw + (k0 + k) * 9 * g.C,
                                       .to_step = g.C,
                                       .accumulate = accumulate};
      set.winograd_filter_gradient(&gradient);
    });
  }
}

}  // namespace dura::cpu
