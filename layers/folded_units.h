// Convolutions with the stored statistics behind them folded into their filters, kept until a value changes. On a device that folds (a
// card) a step then launches neither the folding nor the copies of filters that it needs.
//
// The invariant: refresh() comes before every run of a step whose body has a Use, and is never captured with it. A replay of the step calls
// no body, and would go on with filters of old values.
#pragma once
#include <vector>

#include "layers/layers.h"

namespace dura {

// The units before the first that training changes, of units in the order in which they run: nothing is recorded of them.
std::vector<ConvBn*> frozen_front(const std::vector<ConvBn*>& units);

class FoldedUnits {
 public:
  // Folds them for the first time; the units must outlive this object.
  explicit FoldedUnits(const std::vector<ConvBn*>& units);
  // Folds what has changed since, into the same memory. The units are taken with their stored statistics.
  void refresh();

  // While it lives, the units compute with what was folded, wherever nothing is recorded and statistics are the stored ones.
  class Use {
   public:
    explicit Use(FoldedUnits& all);
    ~Use();
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    FoldedUnits& all_;
  };

 private:
  struct Unit {
    ConvBn* unit;
    FoldedUnit folded = {};
    Revision revision = {};
    uint64_t untold = 0;
  };
  std::vector<Unit> units_;
};

}  // namespace dura
