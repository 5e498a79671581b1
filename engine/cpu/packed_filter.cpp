#include "engine/cpu/packed_filter.h"

#include <array>

namespace dura::cpu {
namespace {

// Always from the general pool: a captured step's arena must not see memory that outlives the step.
struct KeptFilter {
  FilterKey key;
  Buffer memory;
  explicit KeptFilter(const FilterKey& k)
      : key(k), memory(device_pool(Device::cpu), static_cast<size_t>(k.floats) * sizeof(float), "packed convolution filter") {}
};

struct Slot {
  Revision values, scale;  // that were met last
  std::shared_ptr<const KeptFilter> filter;
};
using Slots = std::array<Slot, 2>;  // of forward and backward_data: what this device keeps in a PreparedWeight

}  // namespace

const float* packed_filter(const Weight& w, const FoldedScale& scale, const FilterKey& key, float* workspace,
                           const std::function<void(float*)>& pack) {
  const bool unknown_scale = scale.scale.defined() && !scale.revision.known();
  if (!w.prepared || unknown_scale) {
    pack(workspace);
    return workspace;
  }
  if (!w.prepared->kept) w.prepared->kept = std::make_shared<Slots>();
  Slot& slot = (*static_cast<Slots*>(w.prepared->kept.get()))[static_cast<size_t>(key.pass)];
  const bool seen = slot.values == w.prepared->revision && slot.scale == scale.revision;
  if (seen && slot.filter && slot.filter->key == key) return static_cast<const float*>(slot.filter->memory.data());
  slot = {w.prepared->revision, scale.revision, nullptr};
  if (!seen) {
    pack(workspace);
    return workspace;
  }
  slot.filter = std::make_shared<const KeptFilter>(key);
  float* memory = static_cast<float*>(slot.filter->memory.data());
  pack(memory);
  return memory;
}

}  // namespace dura::cpu
