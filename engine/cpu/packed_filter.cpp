#include "engine/cpu/packed_filter.h"

#include <array>
#include <mutex>

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
  bool packing = false;  // some thread makes `filter`
};
using Slots = std::array<Slot, 2>;  // of forward and backward_data: what this device keeps in a PreparedWeight

// For all slots: it is held for a few comparisons, never while a filter is packed.
std::mutex slots_mutex;

enum class Found : uint8_t { kept, to_be_kept, for_this_call };

Found look_up(Slot& slot, const Revision& values, const Revision& scale, const FilterKey& key) {
  const bool seen = slot.values == values && slot.scale == scale;
  if (seen && slot.packing) return Found::for_this_call;
  if (seen && slot.filter && slot.filter->key == key) return Found::kept;
  slot = {values, scale, nullptr, seen};
  return seen ? Found::to_be_kept : Found::for_this_call;
}

}  // namespace

PackedFilter packed_filter(const Weight& w, const FoldedScale& scale, const FilterKey& key, float* workspace,
                           const std::function<void(float*)>& pack) {
  const auto in_workspace = [&]() -> PackedFilter {
    pack(workspace);
    return {workspace, nullptr};
  };
  const bool unknown_scale = scale.scale.defined() && !scale.revision.known();
  if (!w.prepared || unknown_scale) return in_workspace();
  std::shared_ptr<Slots> slots;
  Slot* slot = nullptr;
  {
    const std::lock_guard lock(slots_mutex);
    if (!w.prepared->kept) w.prepared->kept = std::make_shared<Slots>();
    slots = std::static_pointer_cast<Slots>(w.prepared->kept);
    slot = &(*slots)[static_cast<size_t>(key.pass)];
    switch (look_up(*slot, w.prepared->revision, scale.revision, key)) {
      case Found::kept:
        return {static_cast<const float*>(slot->filter->memory.data()), slot->filter};
      case Found::to_be_kept:
        break;
      case Found::for_this_call:
        slots = nullptr;
    }
  }
  if (!slots) return in_workspace();
  std::shared_ptr<const KeptFilter> made;
  try {
    made = std::make_shared<const KeptFilter>(key);
    pack(static_cast<float*>(made->memory.data()));
  } catch (...) {
    const std::lock_guard lock(slots_mutex);
    slot->packing = false;
    throw;
  }
  const std::lock_guard lock(slots_mutex);
  slot->filter = made, slot->packing = false;
  return {static_cast<const float*>(made->memory.data()), made};
}

}  // namespace dura::cpu
