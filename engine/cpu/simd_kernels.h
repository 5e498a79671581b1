// The inner kernels of the f32 path, one set per instruction set. Plain C-style on purpose: this is the only header of ours that a file
// compiled for AVX2 or AVX-512 sees. An inline function or template of anybody else compiled there could be the copy the linker keeps, and
// would crash on a processor without these instructions (tests/test_cpu_simd_symbols.cpp looks at the objects).
#pragma once
#include <cstddef>

namespace dura::cpu {

// What happens to a sum on its way out, relu(sum * scale[j] + bias[j] + residual + (accumulate ? what is there : 0)), where j is its column
// or channel and the residual lies as the output does. Null pointers are left out.
struct EpiloguePointers {
  const float *scale, *bias, *residual;
  int relu, accumulate;
};

// One block of a product, C = A B, with A (rows, depth), B (depth, cols) and what follows it: where the sums continue or end.
// Elements are floats; all strides are in elements. Row tiles have `mr` rows, column panels `nr` columns of the kernel set.
struct BlockProduct {
  size_t rows, cols, depth;
  const float* a;  // element (i, d) at a[(i / mr) * a_tile + (i % mr) * a_row + d * a_depth]
  ptrdiff_t a_tile, a_row, a_depth;
  const float* b;  // element (d, j) at b[(j / nr) * b_panel + d * b_depth + j % nr]; the last panel is readable to its full width
  ptrdiff_t b_panel, b_depth;
  float* partial;   // sums of a depth that is cut into several blocks: ceil(rows/mr) * mr * ceil(cols/nr) * nr floats, in tile order
  int first, last;  // is this the first, the last block of the depth? `partial` is not read for the first and not written for the last
  float* c;         // element (i, j) at c[c_rows[i] + j]
  const ptrdiff_t* c_rows;
  EpiloguePointers epilogue;  // of the last block
};

// A product of bf16 numbers (their bits) with sums in f32, two steps of the depth at a time: a pair of A's row against pairs of B's columns.
using Bf16 = unsigned short;
struct Bf16Product {
  size_t rows, cols, pairs;
  const Bf16* a;  // pair d of row i begins at a[i * a_row + d * a_pair]
  ptrdiff_t a_row, a_pair;
  const Bf16* b;  // pair d of column j begins at b[(j / nr) * b_panel + d * b_pair + 2 * (j % nr)]; the last panel has its full width
  ptrdiff_t b_panel, b_pair;
  float* partial;   // as in BlockProduct
  int first, last;  // likewise
  // The output is bf16 in `c`, or f32 in `wide_c` and then without residual and relu.
  Bf16* c;
  float* wide_c;
  const Bf16* residual;  // as `c` lies; that of the epilogue is not read
  const ptrdiff_t* c_rows;
  EpiloguePointers epilogue;  // of the last block
};

// The transforms of Winograd's F(4x4, 3x3), on `channels` neighbouring channels at once (Lavin and Gray, "Fast algorithms for convolutional
// neural networks", 2016, section 4). Frequencies are numbered 0..35, row by row.
struct WinogradPatch {
  const float* const* pixels;  // of `channels` floats each, row by row; a pixel outside of the image points to zeros
  size_t channels;
  float* v;  // frequency f, channel c at v[f * v_step + c]
  ptrdiff_t v_step;
};
struct WinogradOutput {
  const float* m;  // frequency f, channel k at m[f * m_step + k]
  ptrdiff_t m_step;
  size_t channels;
  float* y;  // the 4x4 output patch: pixel i at y + offsets[i]; a negative offset is outside of the image
  const ptrdiff_t* offsets;
  EpiloguePointers epilogue;
};
struct WinogradFilter {
  const float* from;  // number i, element c at from[i * from_step + c]: taps (3 r + s) of a filter, or frequencies of its gradient
  ptrdiff_t from_step;
  size_t channels;
  float* to;  // likewise: frequencies of a filter, or taps of its gradient
  ptrdiff_t to_step;
  int accumulate;
};

struct KernelSet {
  const char* name;
  size_t mr, nr;  // the register tile
  void (*block_product)(const BlockProduct*);
  void (*winograd_input)(const WinogradPatch*);  // from 6x6 pixels
  void (*winograd_output)(const WinogradOutput*);
  void (*winograd_filter)(const WinogradFilter*);
  // The filter gradient is the adjoint: dg = G^T [(A dy A^T) x (B^T d B)] G, the products summed over all tiles.
  void (*winograd_output_gradient)(const WinogradPatch*);  // from 4x4 pixels of dy
  void (*winograd_filter_gradient)(const WinogradFilter*);
  void (*bf16_product)(const Bf16Product*) = nullptr;  // null: the set has none, and bf16 is computed with in f32
};

extern const KernelSet generic_kernels;
#if defined(DURA_X86_KERNELS)
extern const KernelSet avx2_kernels;    // needs AVX2 and FMA
extern const KernelSet avx512_kernels;  // needs AVX-512 F
void bf16_product_avx512bf16(const Bf16Product* product);  // needs AVX-512 F, BW, VL and BF16
#endif

}  // namespace dura::cpu
