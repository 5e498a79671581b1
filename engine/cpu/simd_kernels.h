// The inner kernels of the f32 path, one set per instruction set. Plain C-style on purpose: this is the only header of ours that a file
// compiled for AVX2 or AVX-512 sees. An inline function or template of anybody else compiled there could be the copy the linker keeps, and
// would crash on a processor without these instructions (tests/engine/cpu/test_kernel_sets.cpp looks at the objects).
#pragma once
#include <cstddef>

namespace dura::cpu {

// How numbers are stored. They are computed with in f32, those in f64 in f64.
enum Stored { stored_f32, stored_bf16, stored_f16, stored_f64 };
using Bf16 = unsigned short;  // its bits
struct Half {
  unsigned short bits;
};

// What happens to a sum on its way out, relu(sum * scale[j] + bias[j] + residual + (accumulate ? what is there : 0)), where j is its column
// or channel and the residual lies as the output does. Null pointers are left out.
struct EpiloguePointers {
  const float *scale, *bias;
  const void* residual;
  Stored stored;  // the type of the output and the residual
  int relu, accumulate;
  // The output is written past the caches where the kernel set can: it is larger than they are, so that a line need not be fetched before
  // it is overwritten. Rows of whole cache lines, not accumulated.
  int stream = 0;
};

// One block of a product, C = A B, with A (rows, depth), B (depth, cols) and what follows it: where the sums continue or end.
// Elements are floats, those of the output as the epilogue says; all strides are in elements. Row tiles have `mr` rows, column panels `nr`
// columns of the kernel set.
struct BlockProduct {
  size_t rows, cols, depth;
  const float* a;  // element (i, d) at a[i * a_row + d * a_depth]; a_row is 1, or a_depth is 1 and b_depth is nr
  ptrdiff_t a_row, a_depth;
  const float* b;  // element (d, j) at b[(j / nr) * b_panel + d * b_depth + j % nr]; the last panel is readable to its full width
  ptrdiff_t b_panel, b_depth;
  float* partial;   // sums of a depth that is cut into several blocks: ceil(rows/mr) * mr * ceil(cols/nr) * nr floats, in tile order
  int first, last;  // is this the first, the last block of the depth? `partial` is not read for the first and not written for the last
  void* c;          // element (i, j) at c[c_rows[i] + j]
  const ptrdiff_t* c_rows;
  EpiloguePointers epilogue;  // of the last block
};

// A product of bf16 numbers (their bits) with sums in f32, two steps of the depth at a time: a pair of A's row against pairs of B's
// columns.
constexpr size_t bf16_most_pairs = 384;
struct Bf16Product {
  size_t rows, cols, pairs;  // at most bf16_most_pairs of them
  const Bf16* a;             // pair d of row i begins at a[i * a_row + d * a_pair]
  ptrdiff_t a_row, a_pair;
  const Bf16* b;  // pair d of column j begins at b[(j / nr) * b_panel + d * b_pair + 2 * (j % nr)]; the last panel has its full width
  ptrdiff_t b_panel, b_pair;
  float* partial;   // as in BlockProduct
  int first, last;  // likewise
  void* c;          // bf16 or f32, as the epilogue says
  const ptrdiff_t* c_rows;
  EpiloguePointers epilogue;  // of the last block
};

// The transforms of Winograd's F(4x4, 3x3), on `channels` neighbouring channels at once (Lavin and Gray, "Fast algorithms for convolutional
// neural networks", 2016, section 4). Frequencies are numbered 0..35, row by row.
struct WinogradPatch {
  const void* const* pixels;  // of `channels` numbers each, row by row; a pixel outside of the image points to zeros
  Stored stored;
  size_t channels;
  float* v;  // frequency f, channel c at v[f * v_step + c]
  ptrdiff_t v_step;
};
struct WinogradOutput {
  const float* m;  // frequency f, channel k at m[f * m_step + k]
  ptrdiff_t m_step;
  size_t channels;
  void* y;  // the 4x4 output patch: pixel i at y + offsets[i]; a negative offset is outside of the image
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

// Rows of channels that lie one after another: a tile of what BatchNorm works on.
enum Mask { mask_none, mask_output, mask_recomputed };  // of the ReLU behind it: y > 0, or x * scale + shift > 0
struct RowBlock {
  size_t rows, channels;
  Stored stored;  // the type of x, y, dy, residual and out
  const void *x, *y, *dy, *residual;
  void* out;
  const void *mean, *invstd, *scale, *shift, *slope, *offset;  // a number for each channel
  void *sum, *sum_x;                                           // likewise
  Mask mask;
  int relu, accumulate;
};
// One window of a max pooling.
struct PoolWindow {
  const void* const* pixels;    // of `channels` numbers each
  const unsigned char* places;  // of each pixel in the window
  size_t count, channels;
  Stored stored;
  void* out;             // -infinity where there is no pixel. NaN wins and stays, as in PyTorch
  unsigned char* index;  // the place of the first largest, for each channel; places[0] at the least
};
struct RowKernels {
  void (*moments)(const RowBlock*);      // sum: the mean of x; sum_x: the sum of squared distances from it
  void (*scale_shift)(const RowBlock*);  // out = relu(x * scale + shift + residual); what is null or 0 is left out
  // g = masked dy; sum += g, sum_x += g * (x - mean) * invstd, out = g; what is null is left out
  void (*gradient_sums)(const RowBlock*);
  void (*gradient_data)(const RowBlock*);  // out (+)= scale * g - slope * (x - mean) - offset
  void (*max_pool)(const PoolWindow*);
};
extern const RowKernels f64_row_kernels;

// Products of bf16 numbers as they are stored, where a processor has them; it may have another register tile.
struct Bf16Kernel {
  size_t mr = 0, nr = 0;
  void (*product)(const Bf16Product*) = nullptr;  // null: there are none, and bf16 is computed with in f32
  void (*pair_rows)(const Bf16* first, const Bf16* second, size_t count, Bf16* pairs) = nullptr;  // two rows side by side
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
  RowKernels rows;                                                          // f32, bf16 and f16
  void (*widen)(const void* from, Stored stored, size_t count, float* to);  // `from` may be the last bytes of `to`
  Bf16Kernel bf16 = {};
};

extern const KernelSet generic_kernels;
#if defined(DURA_X86_KERNELS)
extern const KernelSet avx2_kernels;        // needs AVX2 and FMA
extern const KernelSet avx512_kernels;      // needs AVX-512 F
extern const KernelSet avx512bf16_kernels;  // needs AVX-512 F, BW, VL and BF16
extern const Bf16Kernel amx_bf16_kernel;    // needs AVX-512 F, BW and VL, AMX's tiles and their products of bf16
#endif

}  // namespace dura::cpu
