// A grid of gathered rows times a packed filter, and the filter gradient of a convolution, in bf16 with f32 sums.
#pragma once
#include "engine/cpu/conv_f32_gather.h"
#include "engine/cpu/simd_kernels.h"

namespace dura::cpu {

// ---- rows times panels ----
// A packed filter: panels of nr output channels, each with all of the depth in pairs, filled up with zeros.
int64_t bf16_panel_elements(const Bf16Kernel& kernel, const GatherGrid& grid);
// From a filter (K,R,S,C). The data gradient reads it transposed, times scale[k] where scale is not null.
void pack_forward_bf16(const Bf16Kernel& kernel, const GatherGrid& grid, const Bf16* filter, Bf16* panels);
void pack_backward_bf16(const Bf16Kernel& kernel, const GatherGrid& grid, const ConvGeometry& g, const Bf16* filter, const float* scale,
                        Bf16* panels);

// Bytes that each worker needs.
int64_t bf16_scratch_bytes(const Bf16Kernel& kernel, const GatherGrid& grid);
// One pass over a grid. Workers have pieces of `scratch`, `scratch_step` bytes each.
struct Bf16Pass {
  const Bf16Kernel& kernel;
  const GatherGrid& grid;
  const Bf16* input;
  const Bf16* filter;  // packed
  EpiloguePointers epilogue;
  char* scratch;
  int64_t scratch_step;
  Bf16* output;
};
void run_bf16(const Bf16Pass& pass);

// ---- filter gradient: a product whose depth is the pixels of the batch, in chunks by shape whose sums are added in a fixed order ----
int64_t bf16_filter_gradient_bytes(const Bf16Kernel& kernel, const ConvGeometry& g);  // workspace
void bf16_filter_gradient(const Bf16Kernel& kernel, const ConvGeometry& g, const Bf16* x, const Bf16* dy, char* workspace, bool accumulate,
                          float* dw);

}  // namespace dura::cpu
