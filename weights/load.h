// Between a module and a weight file. Names are torchvision's on both sides; filters are (K,C,R,S) in files and (K,R,S,C) in dura: this is
// the only place that knows, in both directions. Invariant: load_state(m, state_of(m)) changes no bit.
#pragma once
#include <string>
#include <vector>

#include "layers/module.h"
#include "weights/state.h"

namespace dura {

enum class Strict : uint8_t { no, yes };

// What became of every array, by name.
struct LoadReport {
  std::vector<std::string> loaded;
  std::vector<std::string> missing;     // of the module, not in the file: they keep their values
  std::vector<std::string> unexpected;  // in the file, not in the module
  // In both, with other extents or elements that are no real numbers: "fc.weight: f32 (1000,2048) in the file, (2,2048) in the model".
  std::vector<std::string> mismatched;

  bool complete() const { return missing.empty() && mismatched.empty(); }
  std::string text() const;  // one paragraph; long lists are cut to their first names and a count
};

// Copies what fits, converted to the type of the module's master values. A prefix that all names share ("module.", "model.", "backbone.",
// "state_dict.") is ignored, and so are BatchNorm's num_batches_tracked counters: dura's momentum is constant and does not need them.
// `file` names the source. Strict::yes throws unless everything fits and nothing is left over, Strict::no only when nothing at all fits;
// a module is never left half loaded by a throw.
LoadReport load_state(Module& module, const StateDict& state, Strict strict, const std::string& file);

// What a file must hold to fill the module: names, and extents in files' layout. Of a module on the meta device, too.
struct ExpectedArray {
  std::string name;
  Dimensions dimensions;
};
std::vector<ExpectedArray> expected_arrays(Module& module);

// All parameters (master values) and buffers of the module, in files' names and layout.
StateDict state_of(Module& module);

}  // namespace dura
