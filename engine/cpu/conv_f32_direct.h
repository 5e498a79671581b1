// The f32 convolutions as products of gathered rows with a packed filter, cut into tasks by shape.
#pragma once
#include "engine/cpu/conv_f32_gather.h"
#include "engine/cpu/simd_kernels.h"

namespace dura::cpu {

// One pass over a grid. Workers have pieces of `scratch`, `scratch_step` floats each.
struct GridPass {
  const KernelSet& set;
  GatherGrid grid;
  StoredPointer input;
  const float* filter;  // packed, or transformed for Winograd's algorithm
  EpiloguePointers epilogue;
  float* scratch;
  int64_t scratch_step;
  float* shared;  // by all of them, direct_shared_floats(); Winograd's algorithm needs none
  void* output;   // its type is the input's, which the epilogue repeats
};

// Floats of the packed filter of a grid: panels of nr output channels, each with all of the depth, the last one filled up with zeros.
int64_t panel_floats(const KernelSet& set, const GatherGrid& grid);
// From a filter (K,R,S,C). The data gradient reads it transposed, times scale[k] where scale is not null. T: float, f16 or bf16.
template <class T>
void pack_forward_panels(const KernelSet& set, const GatherGrid& grid, const T* filter, float* panels);
template <class T>
void pack_backward_panels(const KernelSet& set, const GatherGrid& grid, const ConvGeometry& g, const T* filter, const float* scale,
                          float* panels);

// Floats that each worker needs while running a grid on an input of that type.
int64_t direct_scratch_floats(const KernelSet& set, const GatherGrid& grid, Stored stored);
// Floats that all workers share.
int64_t direct_shared_floats(const KernelSet& set, const GatherGrid& grid, Stored stored);
void run_direct(const GridPass& pass);

}  // namespace dura::cpu
