#include "engine/cpu/conv_f32_prepared.h"

#include <array>

namespace dura::cpu {
namespace {

// Always from the general pool: a captured step's arena must not see memory that outlives the step.
struct KeptForm {
  FormKey key;
  Buffer memory;
  explicit KeptForm(const FormKey& k)
      : key(k), memory(device_pool(Device::cpu), static_cast<size_t>(k.floats) * sizeof(float), "packed form of a convolution filter") {}
};

struct Slot {
  Revision values, scale;  // that were met last
  std::shared_ptr<const KeptForm> form;
};
using Slots = std::array<Slot, 2>;  // by FormSlot: what this device keeps in a PreparedWeight

}  // namespace

const float* prepared_filter(const Weight& w, const FoldedScale& scale, FormSlot slot_index, const FormKey& key, float* workspace,
                             const std::function<void(float*)>& build) {
  const bool unknown_scale = scale.scale.defined() && !scale.revision.known();
  if (!w.prepared || unknown_scale) {
    build(workspace);
    return workspace;
  }
  if (!w.prepared->kept) w.prepared->kept = std::make_shared<Slots>();
  Slot& slot = (*static_cast<Slots*>(w.prepared->kept.get()))[static_cast<size_t>(slot_index)];
  const bool seen = slot.values == w.prepared->revision && slot.scale == scale.revision;
  if (seen && slot.form && slot.form->key == key) return static_cast<const float*>(slot.form->memory.data());
  slot = {w.prepared->revision, scale.revision, nullptr};
  if (!seen) {
    build(workspace);
    return workspace;
  }
  slot.form = std::make_shared<const KeptForm>(key);
  float* memory = static_cast<float*>(slot.form->memory.data());
  build(memory);
  return memory;
}

}  // namespace dura::cpu
