// Kernels on u8 images.
#include "engine/cpu/cpu_backend.h"

namespace dura {

void CpuBackend::normalize(const Tensor&, const float*, const float*, bool, const Tensor&) { fail("normalize: not linked yet"); }
void CpuBackend::warp(const Tensor&, const Tensor&, const Tensor&) { fail("warp: not linked yet"); }
void CpuBackend::enhance(const Tensor&, const Tensor&, const Tensor&) { fail("enhance: not linked yet"); }

}  // namespace dura
