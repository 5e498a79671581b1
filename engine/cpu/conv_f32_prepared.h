// Filters in the form that a kernel reads, made once per revision of their values where that pays.
#pragma once
#include <functional>

#include "engine/core/backend.h"
#include "engine/cpu/simd_kernels.h"

namespace dura::cpu {

enum class FilterForm : uint8_t { panels, winograd };
enum class FormSlot : size_t { forward, backward_data };

// What a form depends on besides the values.
struct FormKey {
  FilterForm form = FilterForm::panels;
  const KernelSet* set = nullptr;
  int64_t stride = 1, padding = 0;
  int64_t floats = 0;
  bool operator==(const FormKey& other) const {
    return form == other.form && set == other.set && stride == other.stride && padding == other.padding && floats == other.floats;
  }
};

// The filter's form: the kept one where it is still good; else `build` writes it, into memory that is kept when these values are met for
// the second time (a kept form that is stale is given back), and into `workspace` otherwise. One with a folded scale of unknown revision
// is never kept. The pointer is good while the weight's prepared forms and the workspace are left alone.
const float* prepared_filter(const Weight& w, const FoldedScale& scale, FormSlot slot, const FormKey& key, float* workspace,
                             const std::function<void(float*)>& build);

}  // namespace dura::cpu
