#include "engine/cpu/conv_f32_gather.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace dura::cpu {

EpiloguePointers from_column(EpiloguePointers e, int64_t n) {
  for (const float** part : {&e.scale, &e.bias})
    if (*part) *part += n;
  if (e.residual) e.residual = (StoredPointer{e.residual, e.stored} + n).data;
  return e;
}

GatherGrid forward_grid(const ConvGeometry& g) {
  GatherGrid grid;
  grid.images = g.N;
  grid.in_h = g.H, grid.in_w = g.W, grid.in_c = g.C;
  grid.rows = grid.out_h = g.P, grid.cols = grid.out_w = g.Q, grid.out_c = g.K;
  grid.in_stride = g.stride;
  grid.first_u = grid.first_v = -g.padding;
  grid.taps_u = g.R, grid.taps_v = g.S;
  return grid;
}

namespace {

// One direction of one parity class: output index a + i*stride is reached by the filter taps r = (a + padding) mod stride + t*stride, from
// input index i + (a + padding - r) / stride. In order of rising input index the taps fall.
struct Parity {
  int64_t first, taps, filter_first;
};
Parity parity(int64_t a, int64_t stride, int64_t padding, int64_t filter) {
  const int64_t lowest = (a + padding) % stride;
  const int64_t taps = lowest < filter ? (filter - 1 - lowest) / stride + 1 : 0;
  const int64_t highest = lowest + (taps - 1) * stride;
  return {(a + padding - highest) / stride, taps, highest};  // the division is exact
}

// f(image, i, j) for each of a grid's cells.
template <class F>
void for_cells(const GatherGrid& grid, Range cells, F&& f) {
  int64_t j = cells.begin % grid.cols, i = cells.begin / grid.cols % grid.rows, n = cells.begin / grid.cols / grid.rows;
  for (int64_t m = cells.begin; m < cells.end; ++m) {
    f(n, i, j);
    if (++j == grid.cols) {
      j = 0;
      if (++i == grid.rows) i = 0, ++n;
    }
  }
}

}  // namespace

std::vector<GatherGrid> backward_data_grids(const ConvGeometry& g) {
  std::vector<GatherGrid> grids;
  for (int64_t a = 0; a < std::min(g.stride, g.H); ++a) {
    for (int64_t b = 0; b < std::min(g.stride, g.W); ++b) {
      const Parity u = parity(a, g.stride, g.padding, g.R), v = parity(b, g.stride, g.padding, g.S);
      GatherGrid grid;
      grid.images = g.N;
      grid.in_h = g.P, grid.in_w = g.Q, grid.in_c = g.K;
      grid.rows = ceil_div(g.H - a, g.stride), grid.cols = ceil_div(g.W - b, g.stride);
      grid.first_u = u.first, grid.first_v = v.first;
      const bool reached = u.taps > 0 && v.taps > 0;
      grid.taps_u = reached ? u.taps : 0, grid.taps_v = reached ? v.taps : 0;
      grid.out_h = g.H, grid.out_w = g.W, grid.out_c = g.C;
      grid.out_stride = g.stride, grid.out_i = a, grid.out_j = b;
      grid.filter_u = u.filter_first, grid.filter_v = v.filter_first, grid.filter_step = -g.stride;
      grids.push_back(grid);
    }
  }
  return grids;
}

namespace {

// memcpy; short runs (the stem's: 42 or 84 bytes) in two overlapping pieces, without a call.
inline void copy_bytes(void* to, const void* from, size_t bytes) {
  const auto in_two = [&]<size_t piece>(std::integral_constant<size_t, piece>) {
    char head[piece], tail[piece];
    std::memcpy(head, from, piece);
    std::memcpy(tail, static_cast<const char*>(from) + bytes - piece, piece);
    std::memcpy(to, head, piece);
    std::memcpy(static_cast<char*>(to) + bytes - piece, tail, piece);
  };
  if (bytes >= 32 && bytes <= 64)
    in_two(std::integral_constant<size_t, 32>{});
  else if (bytes > 64 && bytes <= 128)
    in_two(std::integral_constant<size_t, 64>{});
  else
    std::memcpy(to, from, bytes);
}

}  // namespace

template <class T>
void gather_rows(const GatherGrid& grid, const T* input, Range rows, Range depth, T* target, int64_t step) {
  // The taps of one filter row and their channels are neighbours in the image: each row of taps is one copy, cut where it leaves the image.
  const int64_t run = grid.taps_v * grid.in_c;
  const int64_t first_u = depth.begin / run, last_u = (depth.end - 1) / run;
  for_cells(grid, rows, [&](int64_t n, int64_t i, int64_t j) {
    T* to = target;
    target += step;
    const int64_t row_elements = grid.in_w * grid.in_c;
    const int64_t run_start = (j * grid.in_stride + grid.first_v) * grid.in_c;  // within the image row; may lie outside
    for (int64_t u = first_u; u <= last_u; ++u) {
      const int64_t begin = std::max(depth.begin - u * run, int64_t{0}), length = std::min(depth.end - u * run, run) - begin;
      const int64_t h = i * grid.in_stride + grid.first_u + u;
      const bool inside = h >= 0 && h < grid.in_h;
      const int64_t from = run_start + begin;
      const int64_t copy_from = inside ? std::clamp<int64_t>(-from, 0, length) : length;
      const int64_t copy_until = std::clamp<int64_t>(row_elements - from, copy_from, length);
      if (copy_from > 0) std::memset(to, 0, static_cast<size_t>(copy_from) * sizeof(T));
      if (copy_until > copy_from) {
        copy_bytes(to + copy_from, input + (n * grid.in_h + h) * row_elements + from + copy_from,
                   static_cast<size_t>(copy_until - copy_from) * sizeof(T));
      }
      if (length > copy_until) std::memset(to + copy_until, 0, static_cast<size_t>(length - copy_until) * sizeof(T));
      to += length;
    }
  });
}

template void gather_rows(const GatherGrid&, const float*, Range, Range, float*, int64_t);
template void gather_rows(const GatherGrid&, const double*, Range, Range, double*, int64_t);
template void gather_rows(const GatherGrid&, const uint16_t*, Range, Range, uint16_t*, int64_t);

void gather_floats(const KernelSet& set, const GatherGrid& grid, StoredPointer input, Range rows, Range depth, float* target,
                   int64_t step) {
  if (input.stored == stored_f32) return gather_rows(grid, static_cast<const float*>(input.data), rows, depth, target, step);
  // The 16-bit numbers of a row come into the second half of its place, and are widened from the front: none is overwritten unread.
  const int64_t count = depth.end - depth.begin;
  uint16_t* const half = reinterpret_cast<uint16_t*>(target) + count;
  gather_rows(grid, static_cast<const uint16_t*>(input.data), rows, depth, half, 2 * step);
  for (int64_t m = 0; m < rows.end - rows.begin; ++m)
    set.widen(half + m * 2 * step, input.stored, static_cast<size_t>(count), target + m * step);
}

void output_offsets(const GatherGrid& grid, Range rows, ptrdiff_t* offsets) {
  for_cells(grid, rows, [&](int64_t n, int64_t i, int64_t j) {
    *offsets++ = ((n * grid.out_h + grid.out_i + i * grid.out_stride) * grid.out_w + grid.out_j + j * grid.out_stride) * grid.out_c;
  });
}

}  // namespace dura::cpu
