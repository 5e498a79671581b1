#include "engine/cpu/conv_f32_prepared.h"

namespace dura::cpu {
namespace {

// Lives in PreparedForms::Slot. Always from the general pool: a captured step's arena must not see memory that outlives the step.
struct KeptForm {
  FormKey key;
  Buffer memory;
  explicit KeptForm(const FormKey& k)
      : key(k), memory(device_pool(Device::cpu), static_cast<size_t>(k.floats) * sizeof(float), "packed form of a convolution filter") {}
};

}  // namespace

const float* prepared_filter(const Weight& w, const FoldedScale& scale, FormSlot slot_index, const FormKey& key, float* workspace,
                             const std::function<void(float*)>& build) {
  const bool unknown_scale = scale.scale.defined() && scale.version == 0;
  if (!w.prepared || unknown_scale) {
    build(workspace);
    return workspace;
  }
  std::vector<PreparedForms::Slot>& slots = w.prepared->slots;
  const size_t index = static_cast<size_t>(slot_index);
  if (slots.size() <= index) slots.resize(index + 1);
  PreparedForms::Slot& slot = slots[index];
  const uint64_t scale_version = scale.scale.defined() ? scale.version : 0;
  const bool seen = slot.version == w.prepared->version && slot.scale_version == scale_version;
  if (seen && slot.form) {
    const KeptForm& kept = *static_cast<const KeptForm*>(slot.form.get());
    if (kept.key == key) return static_cast<const float*>(kept.memory.data());
  }
  slot.form.reset();
  slot.version = w.prepared->version;
  slot.scale_version = scale_version;
  if (!seen) {
    build(workspace);
    return workspace;
  }
  const auto form = std::make_shared<KeptForm>(key);
  float* memory = static_cast<float*>(form->memory.data());
  build(memory);
  slot.form = form;
  return memory;
}

}  // namespace dura::cpu
