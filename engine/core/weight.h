// A filter as a kernel takes it. A device may keep what it makes of a filter (packed, transposed, transformed) from call to call, under the
// revision of the values that it was made from. The invariant: whoever changes values calls values_changed(), or a kernel goes on with the
// old ones.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>

#include "engine/base/philox.h"
#include "engine/core/tensor.h"

namespace dura {

// Which values a tensor holds: equal revisions of one tensor mean equal values.
class Revision {
 public:
  Revision() = default;  // not known: nothing made from such values is kept
  static Revision first() { return Revision(1); }

  bool known() const { return number_ != 0; }
  void values_changed() { ++number_; }
  // Of values that are computed from both.
  Revision with(const Revision& other) const { return Revision(formula::mix64(number_ * 0x9E3779B97F4A7C15ull + other.number_) | 1u); }
  bool operator==(const Revision&) const = default;

 private:
  explicit Revision(uint64_t number) : number_(number) {}
  uint64_t number_ = 0;
};

// How often values may have changed without a word: captured work that was replayed changes what its body changed, and no body is called.
// Whoever keeps something for longer than a call compares this too.
inline std::atomic<uint64_t> untold_changes{0};

// What a device keeps of one filter; only the device knows what that is.
struct PreparedWeight {
  Revision revision = Revision::first();  // of the filter's values
  std::shared_ptr<void> kept;
};

struct Weight {
  Tensor value;                        // (K,R,S,C)
  PreparedWeight* prepared = nullptr;  // null: prepare into the workspace, for this call only
  Tensor folded = {};                  // conv_forward: what Backend::fold_filter made of it; undefined: the device folds in each call
};

// A factor for each filter, folded into it.
struct FoldedScale {
  Tensor scale;  // (K) [stat]; undefined: none
  Revision revision = {};
};

}  // namespace dura
