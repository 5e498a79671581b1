// A convolution seen as matrix products whose rows are gathered from an image: row m is one cell (n,i,j) of a grid, its `depth` elements
// are the pixels under a rectangle of taps, and the result lands on one pixel of the output. The forward pass is one such grid. The data
// gradient with stride s is s*s of them, one for each parity of the output pixel, each with only the taps that reach it: no multiplication
// by inserted zeros.
#pragma once
#include <vector>

#include "engine/core/backend.h"
#include "engine/base/numbers.h"
#include "engine/cpu/simd_kernels.h"

namespace dura::cpu {

// Elements of a type that is known when running.
struct StoredPointer {
  const void* data;
  Stored stored;
  StoredPointer operator+(int64_t elements) const { return {static_cast<const char*>(data) + elements * bytes(), stored}; }
  int64_t bytes() const { return stored == stored_f32 ? 4 : 2; }  // of an element
};

// The same epilogue for the columns from n on.
EpiloguePointers from_column(EpiloguePointers e, int64_t n);

struct GatherGrid {
  int64_t images = 0;
  int64_t in_h = 0, in_w = 0, in_c = 0;  // the tensor that is read
  int64_t rows = 0, cols = 0;            // grid cells of one image
  int64_t in_stride = 1;  // cell (i,j) with tap (u,v) reads pixel (i*in_stride + first_u + u, j*in_stride + first_v + v), zero outside
  int64_t first_u = 0, first_v = 0, taps_u = 0, taps_v = 0;
  int64_t out_h = 0, out_w = 0, out_c = 0;       // the tensor that is written
  int64_t out_stride = 1, out_i = 0, out_j = 0;  // cell (i,j) writes pixel (out_i + i*out_stride, out_j + j*out_stride)
  // Tap (u,v) stands for the filter's tap (filter_u + u*filter_step, filter_v + v*filter_step).
  int64_t filter_u = 0, filter_v = 0, filter_step = 1;

  int64_t cells() const { return images * rows * cols; }
  int64_t depth() const { return taps_u * taps_v * in_c; }
  // Are the gathered rows simply the rows of the input, one after another?
  bool plain() const {
    return taps_u == 1 && taps_v == 1 && in_stride == 1 && first_u == 0 && first_v == 0 && rows == in_h && cols == in_w;
  }
};

GatherGrid forward_grid(const ConvGeometry& g);
std::vector<GatherGrid> backward_data_grids(const ConvGeometry& g);

// Whole cache lines of floats, so that workers share none.
inline int64_t whole_lines(int64_t floats) { return round_up<int64_t>(floats, 16); }

struct Range {
  int64_t begin, end;
};

// Elements `depth` of `rows`, row m at target + (m - rows.begin)*step. Depth runs over u, v and channel, channel fastest.
// T: float, double, or the bits of a 16-bit number.
template <class T>
void gather_rows(const GatherGrid& grid, const T* input, Range rows, Range depth, T* target, int64_t step);

// The same of an image stored in f32 or 16 bits, as floats.
void gather_floats(const KernelSet& set, const GatherGrid& grid, StoredPointer input, Range rows, Range depth, float* target, int64_t step);

// The element offset of the output pixel of each of `rows`.
void output_offsets(const GatherGrid& grid, Range rows, ptrdiff_t* offsets);

}  // namespace dura::cpu
