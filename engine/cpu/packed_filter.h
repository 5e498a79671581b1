// Filters packed as a kernel reads them, once per revision of their values where that pays.
#pragma once
#include <functional>
#include <memory>

#include "engine/core/backend.h"
#include "engine/cpu/simd_kernels.h"

namespace dura::cpu {

enum class FilterLayout : uint8_t { panels, winograd, bf16_pairs };

// What a packed filter depends on besides the values.
struct FilterKey {
  ConvPass pass = ConvPass::forward;  // or backward_data
  FilterLayout layout = FilterLayout::panels;
  const KernelSet* set = nullptr;
  int64_t stride = 1, padding = 0;
  int64_t floats = 0;
  bool operator==(const FilterKey& other) const = default;
};

struct PackedFilter {
  const float* data;                 // good while the workspace is left alone and `kept` lives
  std::shared_ptr<const void> kept;  // null: it lies in the workspace
};

// The packed filter: the kept one where it is still good; else `pack` writes it, into memory that is kept when these values are met for
// the second time (a kept one that is stale is given back), and into `workspace` otherwise. One with a folded scale of unknown revision is
// never kept. Threads may ask for one filter at the same time, while nobody changes its values: one of them packs what is kept, and until
// that is done the others use their workspaces.
PackedFilter packed_filter(const Weight& w, const FoldedScale& scale, const FilterKey& key, float* workspace,
                           const std::function<void(float*)>& pack);

}  // namespace dura::cpu
