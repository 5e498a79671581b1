#include "engine/cpu/winograd_f32_tiles.h"

namespace dura::cpu {

void WinogradTiles::input_pixels(int64_t t, const float* input, const float* zeros, const float** pixels) const {
  const int64_t n = t / across_ / down_;
  const int64_t top = t / across_ % down_ * winograd_outputs + grid_.first_u, left = t % across_ * winograd_outputs + grid_.first_v;
  for (int64_t h = top; h < top + winograd_patch; ++h) {
    for (int64_t w = left; w < left + winograd_patch; ++w) {
      const bool inside = h >= 0 && h < grid_.in_h && w >= 0 && w < grid_.in_w;
      *pixels++ = inside ? input + ((n * grid_.in_h + h) * grid_.in_w + w) * grid_.in_c : zeros;
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

}  // namespace dura::cpu
