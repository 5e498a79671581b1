// How a weight file wants to be used. Weights and preprocessing that do not belong together still give an answer, only a worse one: so the
// conventions are carried in the files that dura writes, looked up where the file is a published one, and always stated with their source.
#pragma once
#include <string>

#include "weights/state.h"

namespace dura {

struct WeightConventions {
  std::string input = "torch";       // torch: RGB, (x/255 - mean)/deviation; caffe: BGR, x - mean, not scaled
  std::string variant = "v1_5";      // where bottleneck blocks have their stride: v1 the first 1x1 convolution, v1_5 the 3x3
  std::string stem_pool = "padded";  // padded: 3x3 stride 2 padding 1; ceil: no padding, ceil mode
  std::string source = "";           // why, in words, for the log
  bool known = false;                // false: torchvision's conventions are an assumption, and `source` is a warning
};

// In this order: metadata dura.input, dura.variant and dura.stem_pool; the file's SHA-256 among published ones; metadata that name Caffe or
// MSRA; else torchvision's. Throws Error where the dura.* entries are incomplete or unknown. `file` names the source.
WeightConventions conventions_of(const StateDict& state, const std::string& file_sha256, const std::string& file);

// The metadata entries that state them.
void state_conventions(StateDict& state, const WeightConventions& conventions);

}  // namespace dura
