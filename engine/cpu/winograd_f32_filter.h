// The filter gradient of a 3x3 convolution with stride 1 by Winograd's algorithm: the adjoint of the forward pass (winograd_f32.h), 36
// multiplications for each tile, input and output channel instead of 144. It pays where winograd_pays() says so of the forward grid.
#pragma once
#include "engine/core/backend.h"
#include "engine/cpu/simd_kernels.h"

namespace dura::cpu {

int64_t winograd_filter_gradient_floats(const KernelSet& set, const ConvGeometry& g);  // workspace
void winograd_filter_gradient(const KernelSet& set, const ConvGeometry& g, const float* x, const float* dy, float* workspace,
                              bool accumulate, float* dw);

}  // namespace dura::cpu
