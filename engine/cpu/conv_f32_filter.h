// The filter gradient of the f32 convolutions: a product whose depth is the pixels of the batch, cut into chunks by shape whose sums are
// added in a fixed order. x and dy have one type.
#pragma once
#include "engine/core/backend.h"
#include "engine/cpu/conv_f32_gather.h"

namespace dura::cpu {

int64_t filter_gradient_floats(const KernelSet& set, const ConvGeometry& g, Stored stored);  // workspace
void filter_gradient(const KernelSet& set, const ConvGeometry& g, StoredPointer x, StoredPointer dy, float* workspace, bool accumulate,
                     float* dw);

}  // namespace dura::cpu
