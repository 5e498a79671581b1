// Winograd's algorithm F(4x4, 3x3) for 3x3 convolutions with stride 1 (Lavin and Gray, "Fast algorithms for convolutional neural networks",
// 2016): 36 multiplications for 16 outputs instead of 144. A data gradient with stride 1 is the same thing with the filter turned around.
// Measured against double at ResNet-50's layers, its normalised mean squared error is 2e-12 to 1.2e-11, where the direct product has 1e-13
// to 1.3e-12.
#pragma once
#include "engine/core/backend.h"
#include "engine/cpu/conv_f32_direct.h"
#include "engine/cpu/conv_f32_gather.h"
#include "engine/cpu/simd_kernels.h"

namespace dura::cpu {

// The 4x4 output tiles of a 3x3 convolution with stride 1, as Winograd's algorithm cuts them.
constexpr int64_t winograd_frequencies = 36, winograd_patch = 6, winograd_outputs = 4;

// A grid's tiles, numbered through all images.
class WinogradTiles {
 public:
  explicit WinogradTiles(const GatherGrid& grid)
      : grid_(grid), down_(ceil_div(grid.rows, winograd_outputs)), across_(ceil_div(grid.cols, winograd_outputs)) {}

  int64_t count() const { return grid_.images * down_ * across_; }
  // The 6x6 pixels that tile t reads; `zeros` (in_c of them) for those outside of the image.
  void input_pixels(int64_t t, StoredPointer input, const void* zeros, const void** pixels) const;
  // The element offsets of its 4x4 pixels of the output, -1 for those outside.
  void output_offsets(int64_t t, ptrdiff_t* offsets) const;

 private:
  GatherGrid grid_;
  int64_t down_, across_;
};

// Is the grid one that Winograd's algorithm can do, and does faster?
bool winograd_pays(const GatherGrid& grid);

// Floats of the transformed filter: 36 frequencies of packed panels.
int64_t winograd_filter_floats(const KernelSet& set, const GatherGrid& grid);
// From a filter (K,R,S,C) of floats, f16 or bf16; `transposed` for the data gradient, with scale[k] folded in where it is not null.
template <class T>
void transform_filter(const KernelSet& set, const GatherGrid& grid, bool transposed, const T* filter, const float* scale, float* u);

// Floats that each worker needs.
int64_t winograd_scratch_floats(const KernelSet& set, const GatherGrid& grid);
void run_winograd(const GridPass& pass);

// The filter gradient of a 3x3 convolution with stride 1 by Winograd's algorithm: the adjoint of the forward pass, 36
// multiplications for each tile, input and output channel instead of 144. It pays where winograd_pays() says so of the forward grid.
int64_t winograd_filter_gradient_floats(const KernelSet& set, const ConvGeometry& g);  // workspace
void winograd_filter_gradient(const KernelSet& set, const ConvGeometry& g, StoredPointer x, StoredPointer dy, float* workspace,
                              bool accumulate, float* dw);

}  // namespace dura::cpu
