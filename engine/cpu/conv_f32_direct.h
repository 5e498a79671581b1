// The exact form of the f32 convolutions: products of gathered rows with a packed filter, cut into tasks by shape.
#pragma once
#include "engine/cpu/conv_f32_gather.h"
#include "engine/cpu/simd_kernels.h"

namespace dura::cpu {

// What happens to the sums on their way out: relu(sum * scale[k] + bias[k] + residual + (accumulate ? output : 0)); null pointers are left
// out.
struct OutputRule {
  const float* scale = nullptr;
  const float* bias = nullptr;
  const float* residual = nullptr;
  bool relu = false;
  bool accumulate = false;
};

// Floats of the packed filter of a grid: panels of nr output channels, each with all of the depth, the last one filled up with zeros.
int64_t panel_floats(const KernelSet& set, const GatherGrid& grid);
// From a filter (K,R,S,C). The data gradient reads it transposed, times scale[k] where scale is not null.
void pack_forward_panels(const KernelSet& set, const GatherGrid& grid, const float* filter, float* panels);
void pack_backward_panels(const KernelSet& set, const GatherGrid& grid, const ConvGeometry& g, const float* filter, const float* scale,
                          float* panels);

// Floats that each worker needs while running a grid.
int64_t direct_scratch_floats(const KernelSet& set, const GatherGrid& grid);
// `scratch` has num_threads() pieces of `scratch_step` floats.
void run_direct(const KernelSet& set, const GatherGrid& grid, const float* input, const float* panels, const OutputRule& rule,
                float* scratch, int64_t scratch_step, float* output);

}  // namespace dura::cpu
