// Memory, and the choice between the kernels with f32 arithmetic and those for f64.
#include "engine/cpu/cpu_backend.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "engine/base/large_memory.h"
#include "engine/cpu/conv.h"

namespace dura {

std::shared_ptr<MemorySource> CpuBackend::memory() {
  // Never destroyed: buffers with static lifetime may outlive main().
  static auto* pool = new std::shared_ptr<MemorySource>(std::make_shared<CachingPool>(
      RawMemory{[](size_t bytes) { return allocate_large(bytes, block_alignment); }, [](void* p) { std::free(p); }}));
  return *pool;
}

size_t CpuBackend::memory_bytes() {
  size_t bytes = static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGESIZE)), limit = 0;
  // A container's limit; the file says "max" where there is none.
  if (std::ifstream file("/sys/fs/cgroup/memory.max"); file >> limit) bytes = std::min(bytes, limit);
  return bytes;
}

size_t CpuBackend::conv_workspace(const ConvGeometry& g, DType dtype, const ConvKey& key) {
  if (cpu::computes_in_bf16(g, dtype, key.pass)) return cpu::conv_workspace_bf16(g, key.pass);
  return dtype == DType::f64 ? cpu::conv_workspace_f64(g, key.pass) : cpu::conv_workspace_f32(g, dtype, key.pass);
}

void CpuBackend::conv_forward(const ConvGeometry& g, const Tensor& x, const Weight& w, const Epilogue& e, const Tensor& workspace,
                              const Tensor& y) {
  if (x.dtype() == DType::f64) return cpu::conv_forward_f64(g, x, w.value, e, workspace, y);
  if (cpu::computes_in_bf16(g, x.dtype(), ConvPass::forward)) return cpu::conv_forward_bf16(g, x, w, e, workspace, y);
  cpu::conv_forward_f32(g, x, w, e, workspace, y);
}

void CpuBackend::conv_backward_data(const ConvGeometry& g, const Tensor& dy, const Weight& w, const FoldedScale& scale,
                                    const Tensor& workspace, GradTarget dx) {
  if (dy.dtype() == DType::f64) return cpu::conv_backward_data_f64(g, dy, w.value, scale.scale, workspace, dx);
  if (cpu::computes_in_bf16(g, dy.dtype(), ConvPass::backward_data)) return cpu::conv_backward_data_bf16(g, dy, w, scale, workspace, dx);
  cpu::conv_backward_data_f32(g, dy, w, scale, workspace, dx);
}

void CpuBackend::conv_backward_filter(const ConvGeometry& g, const Tensor& x, const Tensor& dy, const Tensor& workspace, GradTarget dw) {
  if (dy.dtype() == DType::f64) return cpu::conv_backward_filter_f64(g, x, dy, workspace, dw);
  if (cpu::computes_in_bf16(g, dy.dtype(), ConvPass::backward_filter)) return cpu::conv_backward_filter_bf16(g, x, dy, workspace, dw);
  cpu::conv_backward_filter_f32(g, x, dy, workspace, dw);
}

}  // namespace dura
