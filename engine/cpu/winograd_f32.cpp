#include "engine/cpu/winograd_f32.h"

#include <algorithm>

#include "engine/base/numbers.h"
#include "engine/base/parallel.h"
#include "engine/cpu/element.h"

namespace dura::cpu {

void WinogradTiles::input_pixels(int64_t t, StoredPointer input, const void* zeros, const void** pixels) const {
  const int64_t n = t / across_ / down_;
  const int64_t top = t / across_ % down_ * winograd_outputs + grid_.first_u, left = t % across_ * winograd_outputs + grid_.first_v;
  for (int64_t h = top; h < top + winograd_patch; ++h) {
    for (int64_t w = left; w < left + winograd_patch; ++w) {
      const bool inside = h >= 0 && h < grid_.in_h && w >= 0 && w < grid_.in_w;
      *pixels++ = inside ? (input + ((n * grid_.in_h + h) * grid_.in_w + w) * grid_.in_c).data : zeros;
    }
  }
}

void WinogradTiles::output_offsets(int64_t t, ptrdiff_t* offsets) const {
  const int64_t n = t / across_ / down_;
  const int64_t top = t / across_ % down_ * winograd_outputs, left = t % across_ * winograd_outputs;
  for (int64_t p = top; p < top + winograd_outputs; ++p) {
    for (int64_t q = left; q < left + winograd_outputs; ++q) {
      const bool inside = p < grid_.rows && q < grid_.cols;
      *offsets++ = inside ? ((n * grid_.out_h + p) * grid_.out_w + q) * grid_.out_c : -1;
    }
  }
}

namespace {

constexpr int64_t frequencies = winograd_frequencies;
// A filter is transformed `piece` input channels and one panel, at most `widest` output channels, at a time.
constexpr int64_t piece = 16, widest = 64, taps_floats = 9 * piece * widest;

// How the 4x4 output tiles are cut into tasks, and where a worker keeps its transformed inputs V, its products M and a pixel of zeros.
struct TileCut {
  int64_t down, across, tiles;  // of one image; of all images
  int64_t per_task, tasks;
  int64_t v_row, v_step, m_row, m_step;  // floats from tile to tile, from frequency to frequency
  int64_t m_offset, zeros_offset, scratch;
};

TileCut cut_tiles(const KernelSet& set, const GatherGrid& grid) {
  const int64_t nr = static_cast<int64_t>(set.nr);
  TileCut cut;
  // V and M should stay in the second-level cache, but a task of few tiles reads the whole filter for little work.
  constexpr int64_t cache_floats = 256 << 10, fewest = 24, most = 96;
  const int64_t fitting = std::clamp(cache_floats / (frequencies * (grid.in_c + grid.out_c)), fewest, most);
  // Evenly, and an even number: an odd one would leave half of two threads waiting.
  const int64_t tiles = WinogradTiles(grid).count(), several = ceil_div(tiles, fitting);
  cut.per_task = ceil_div(tiles, round_up<int64_t>(several, 2));
  cut.tasks = ceil_div(tiles, cut.per_task);
  // One cache line more than a multiple: 36 frequencies at a distance of a power of two would fall into the same set of the cache.
  cut.v_row = grid.in_c + 16;
  cut.v_step = cut.per_task * cut.v_row + 16;
  cut.m_row = round_up(grid.out_c, nr) + 16;
  cut.m_step = cut.per_task * cut.m_row + 16;
  cut.m_offset = frequencies * cut.v_step;
  cut.zeros_offset = cut.m_offset + frequencies * cut.m_step;
  cut.scratch = whole_lines(cut.zeros_offset + grid.in_c);
  return cut;
}

}  // namespace

bool winograd_pays(const GatherGrid& grid) {
  if (grid.taps_u != 3 || grid.taps_v != 3 || grid.in_stride != 1 || grid.out_stride != 1) return false;
  const int64_t tiles = WinogradTiles(grid).count();
  // The transforms cost about as much as 16 channels; tiles that hang over the border cost multiplications; and the transformed filter,
  // four times as large, is read once for all tiles. One image at 14 px has 16 of them, which are enough for filters of 256 x 256.
  constexpr int64_t small_filter = 256 * 256;
  const int64_t fewest = grid.images == 1 && grid.in_c * grid.out_c <= small_filter ? 16 : 32;
  return grid.in_c >= 32 && grid.out_c >= 32 && tiles >= fewest && 2 * frequencies * tiles <= 9 * grid.cells();
}

int64_t winograd_filter_floats(const KernelSet& set, const GatherGrid& grid) {
  const int64_t nr = static_cast<int64_t>(set.nr);
  return frequencies * round_up(grid.out_c, nr) * grid.in_c;
}

template <class T>
void transform_filter(const KernelSet& set, const GatherGrid& grid, bool transposed, const T* filter, const float* scale, float* u) {
  const int64_t nr = static_cast<int64_t>(set.nr), depth = grid.in_c, cols = grid.out_c, panels = ceil_div(cols, nr);
  DURA_CHECK(nr <= widest, "transform_filter: the kernel set ", set.name, " has panels of ", nr, " columns, at most ", widest,
             " are foreseen");
  parallel_for(panels, [&](int64_t panel) {
    float taps[taps_floats];
    const int64_t n0 = panel * nr, width = std::min(nr, cols - n0);
    std::fill(taps, taps + 9 * piece * nr, 0.0f);
    for (int64_t d0 = 0; d0 < depth; d0 += piece) {
      const int64_t count = std::min(piece, depth - d0);
      for (int64_t tap = 0; tap < 9; ++tap) {
        float* target = taps + tap * piece * nr;
        if (transposed) {  // filter (depth, 3, 3, cols), turned by half a turn
          for (int64_t d = 0; d < count; ++d) {
            const T* source = filter + ((d0 + d) * 9 + (8 - tap)) * cols + n0;
            const float factor = scale ? scale[d0 + d] : 1.0f;
            for (int64_t j = 0; j < width; ++j) target[d * nr + j] = Element<T>::load(source[j]) * factor;
          }
        } else {  // filter (cols, 3, 3, depth)
          for (int64_t j = 0; j < width; ++j) {
            const T* source = filter + ((n0 + j) * 9 + tap) * depth + d0;
            for (int64_t d = 0; d < count; ++d) target[d * nr + j] = Element<T>::load(source[d]);
          }
        }
      }
      const WinogradFilter panel_taps = {.from = taps,
                                         .from_step = piece * nr,
                                         .channels = static_cast<size_t>(count * nr),
                                         .to = u + (panel * depth + d0) * nr,
                                         .to_step = panels * depth * nr,
                                         .accumulate = 0};
      set.winograd_filter(&panel_taps);
    }
  });
}

template void transform_filter(const KernelSet&, const GatherGrid&, bool, const float*, const float*, float*);
template void transform_filter(const KernelSet&, const GatherGrid&, bool, const f16*, const float*, float*);
template void transform_filter(const KernelSet&, const GatherGrid&, bool, const bf16*, const float*, float*);

int64_t winograd_scratch_floats(const KernelSet& set, const GatherGrid& grid) { return cut_tiles(set, grid).scratch; }

void run_winograd(const GridPass& pass) {
  const KernelSet& set = pass.set;
  const GatherGrid& grid = pass.grid;
  const TileCut cut = cut_tiles(set, grid);
  const WinogradTiles tiles(grid);
  const int64_t nr = static_cast<int64_t>(set.nr), depth = grid.in_c, u_step = round_up(grid.out_c, nr) * depth;
  parallel_for(cut.tasks, [&](int64_t task) {
    float* const v = pass.scratch + worker_index() * pass.scratch_step;
    float* const m = v + cut.m_offset;
    float* const zeros = v + cut.zeros_offset;
    std::fill(zeros, zeros + depth, 0.0f);
    const int64_t first = task * cut.per_task, last = std::min(tiles.count(), first + cut.per_task);

    for (int64_t t = first; t < last; ++t) {
      const void* pixels[frequencies];
      tiles.input_pixels(t, pass.input, zeros, pixels);
      const WinogradPatch patch = {.pixels = pixels,
                                   .stored = pass.input.stored,
                                   .channels = static_cast<size_t>(depth),
                                   .v = v + (t - first) * cut.v_row,
                                   .v_step = cut.v_step};
      set.winograd_input(&patch);
    }

    ptrdiff_t rows[96];
    for (int64_t t = first; t < last; ++t) rows[t - first] = (t - first) * cut.m_row;
    BlockProduct block = {};
    block.rows = static_cast<size_t>(last - first), block.cols = static_cast<size_t>(grid.out_c), block.depth = static_cast<size_t>(depth);
    block.a_row = cut.v_row, block.a_depth = 1;
    block.b_panel = nr * depth, block.b_depth = nr;
    block.first = block.last = 1;
    block.partial = m;  // not touched: the depth is in one piece
    block.c_rows = rows;
    for (int64_t f = 0; f < frequencies; ++f) {
      block.a = v + f * cut.v_step;
      block.b = pass.filter + f * u_step;
      block.c = m + f * cut.m_step;
      set.block_product(&block);
    }

    for (int64_t t = first; t < last; ++t) {
      ptrdiff_t offsets[winograd_outputs * winograd_outputs];
      tiles.output_offsets(t, offsets);
      const WinogradOutput out = {.m = m + (t - first) * cut.m_row,
                                  .m_step = cut.m_step,
                                  .channels = static_cast<size_t>(grid.out_c),
                                  .y = pass.output,
                                  .offsets = offsets,
                                  .epilogue = pass.epilogue};
      set.winograd_output(&out);
    }
  });
}

namespace {

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

void winograd_filter_gradient(const KernelSet& set, const ConvGeometry& g, StoredPointer x, StoredPointer dy, float* workspace,
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
            const void* pixels[frequencies];
            tiles.input_pixels(first + t, x, zeros, pixels);
            const WinogradPatch patch = {
                .pixels = pixels, .stored = x.stored, .channels = static_cast<size_t>(g.C), .v = v + t * cut.v_row, .v_step = cut.v_step};
            set.winograd_input(&patch);
          }
          ptrdiff_t offsets[winograd_outputs * winograd_outputs];
          const void* pixels[winograd_outputs * winograd_outputs];
          tiles.output_offsets(first + t, offsets);
          for (int i = 0; i < winograd_outputs * winograd_outputs; ++i) pixels[i] = offsets[i] < 0 ? zeros : (dy + (offsets[i] + k0)).data;
          const WinogradPatch patch = {.pixels = pixels,
                                       .stored = dy.stored,
                                       .channels = static_cast<size_t>(k1 - k0),
                                       .v = d + t * cut.d_row,
                                       .v_step = cut.d_step};
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
        block.a = d + f * cut.d_step + r0, block.a_row = 1, block.a_depth = cut.d_row;
        block.b = v + f * cut.v_step, block.b_panel = static_cast<ptrdiff_t>(set.nr), block.b_depth = cut.v_row;
        block.first = block.last = 1;
        block.c = m + f * cut.m_step, block.c_rows = rows;
        block.partial = m;  // not touched: the depth is in one piece
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
