// The inner kernels of the f32 path, one set per instruction set. Plain C-style on purpose: this is the only header of ours that a file
// compiled for AVX2 or AVX-512 sees. An inline function or template of anybody else compiled there could be the copy the linker keeps, and
// would crash on a processor without these instructions (tests/test_cpu_simd_symbols.cpp looks at the objects).
#pragma once
#include <cstddef>

namespace dura::cpu {

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
  // What the last block does: c = relu((sum) * scale[j] + bias[j] + residual + (accumulate ? c : 0)); null pointers are left out.
  float* c;               // element (i, j) at c[c_rows[i] + j]
  const float* residual;  // likewise
  const ptrdiff_t* c_rows;
  const float* scale;
  const float* bias;
  int accumulate, relu;
};

// The transforms of Winograd's F(4x4, 3x3), on `channels` neighbouring channels at once (Lavin and Gray, "Fast algorithms for convolutional
// neural networks", 2016, section 4). Frequencies are numbered 0..35, row by row.
struct WinogradInput {
  const float* const* pixels;  // 36 pixels of `channels` floats, the 6x6 input patch; a pixel outside of the image points to zeros
  size_t channels;
  float* v;  // frequency f, channel c at v[f * v_step + c]
  ptrdiff_t v_step;
};
struct WinogradOutput {
  const float* m;  // frequency f, channel k at m[f * m_step + k]
  ptrdiff_t m_step;
  size_t channels;
  float* y;               // the 4x4 output patch: pixel i at y + offsets[i]; a negative offset is outside of the image
  const float* residual;  // same offsets
  const ptrdiff_t* offsets;
  const float* scale;
  const float* bias;
  int accumulate, relu;  // as in BlockProduct
};
struct WinogradFilter {
  const float* taps;  // tap t = 3 r + s, element i at taps[t * taps_step + i]
  ptrdiff_t taps_step;
  size_t count;
  float* u;  // frequency f, element i at u[f * u_step + i]
  ptrdiff_t u_step;
};

// The filter gradient is the adjoint of the same form: dg = G^T [(A dy A^T) x (B^T d B)] G, the products summed over all tiles.
struct WinogradOutputGradient {
  const float* const* pixels;  // 16 pixels of `channels` floats, the 4x4 patch of dy; a pixel outside of the image points to zeros
  size_t channels;
  float* v;  // frequency f, channel k at v[f * v_step + k]
  ptrdiff_t v_step;
};
struct WinogradFilterGradient {
  const float* m;  // frequency f, channel c at m[f * m_step + c]
  ptrdiff_t m_step;
  size_t channels;
  float* taps;  // tap t = 3 r + s, channel c at taps[t * taps_step + c]
  ptrdiff_t taps_step;
  int accumulate;
};

struct KernelSet {
  const char* name;
  size_t mr, nr;  // the register tile
  void (*block_product)(const BlockProduct*);
  void (*winograd_input)(const WinogradInput*);
  void (*winograd_output)(const WinogradOutput*);
  void (*winograd_filter)(const WinogradFilter*);
  void (*winograd_output_gradient)(const WinogradOutputGradient*);
  void (*winograd_filter_gradient)(const WinogradFilterGradient*);
};

extern const KernelSet generic_kernels;
#if defined(DURA_X86_KERNELS)
extern const KernelSet avx2_kernels;    // needs AVX2 and FMA
extern const KernelSet avx512_kernels;  // needs AVX-512 F
#endif

}  // namespace dura::cpu
