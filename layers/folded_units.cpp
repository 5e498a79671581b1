#include "layers/folded_units.h"

#include <algorithm>

namespace dura {

std::vector<ConvBn*> frozen_front(const std::vector<ConvBn*>& units) {
  const auto changes = [](const ConvBn* u) { return u->trainable() || u->bn.keeps_batch_statistics(); };
  return {units.begin(), std::find_if(units.begin(), units.end(), changes)};
}

FoldedUnits::FoldedUnits(const std::vector<ConvBn*>& units) {
  for (ConvBn* u : units) {
    const Parameter& w = u->conv.weight;
    if (backend(w.device()).folded_filter_bytes(w.shape(), w.compute().dtype()) > 0) units_.push_back({u});
  }
  refresh();
}

void FoldedUnits::refresh() {
  for (Unit& u : units_) {
    const Revision now = u.unit->revision();
    const uint64_t untold = untold_changes;
    if (u.revision == now && u.untold == untold) continue;
    u.unit->fold(u.folded);
    u.revision = now, u.untold = untold;
  }
}

FoldedUnits::Use::Use(FoldedUnits& all) : all_(all) {
  for (Unit& u : all_.units_) u.unit->folded = u.folded;
}
FoldedUnits::Use::~Use() {
  for (Unit& u : all_.units_) u.unit->folded = {};
}

}  // namespace dura
