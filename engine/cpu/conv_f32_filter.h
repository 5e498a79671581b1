// The filter gradient of the f32 convolutions: a product whose depth is the pixels of the batch, cut into chunks by shape whose sums are
// added in a fixed order.
#pragma once
#include "engine/core/backend.h"
#include "engine/cpu/simd_kernels.h"

namespace dura::cpu {

int64_t filter_gradient_floats(const KernelSet& set, const ConvGeometry& g);  // workspace
void filter_gradient(const KernelSet& set, const ConvGeometry& g, const float* x, const float* dy, float* workspace, bool accumulate,
                     float* dw);

}  // namespace dura::cpu
