// The 4x4 output tiles of a 3x3 convolution with stride 1, as Winograd's algorithm cuts them.
#pragma once
#include "engine/cpu/conv_f32_gather.h"

namespace dura::cpu {

constexpr int64_t winograd_frequencies = 36, winograd_patch = 6, winograd_outputs = 4;

// A grid's tiles, numbered through all images.
class WinogradTiles {
 public:
  explicit WinogradTiles(const GatherGrid& grid)
      : grid_(grid), down_(ceil_div(grid.rows, winograd_outputs)), across_(ceil_div(grid.cols, winograd_outputs)) {}

  int64_t count() const { return grid_.images * down_ * across_; }
  // The 6x6 pixels that tile t reads; `zeros` (in_c floats) for those outside of the image.
  void input_pixels(int64_t t, const float* input, const float* zeros, const float** pixels) const;
  // The element offsets of its 4x4 pixels of the output, -1 for those outside.
  void output_offsets(int64_t t, ptrdiff_t* offsets) const;

 private:
  GatherGrid grid_;
  int64_t down_, across_;
};

}  // namespace dura::cpu
