// The CPU's kernels. f32 convolutions have hand-written SIMD (conv.h); everything else is plain loops over any storage type, cut by
// shape. Partial sums of two-stage reductions (a few hundred KB at most) are on the heap, not in the workspace.
#pragma once
#include "engine/core/backend.h"

namespace dura {

class CpuBackend final : public Backend {
 public:
  Device device() const override { return Device::cpu; }
  std::shared_ptr<MemorySource> memory() override;
  size_t memory_bytes() override;
  void download(const Tensor& x, void* host) override;
  size_t conv_workspace(const ConvGeometry& g, DType dtype, const ConvKey& key) override;

#define KERNEL(name, parameters, ...) void name parameters override;
#define KERNEL_WITH_DEFAULT(name, parameters, ...)
#include "engine/core/kernels.inc"
};

}  // namespace dura
