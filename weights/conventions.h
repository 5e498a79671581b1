// How a weight file wants to be used. Weights and preprocessing that do not belong together still give an answer, only a worse one: so the convention is
// carried in the file where dura wrote it, looked up where the file is a known one, and stated with its source.
#pragma once
#include <string>

#include "weights/state.h"

namespace dura {

struct WeightConventions {
  std::string input = "torch";       // torch: RGB, (x/255 - mean)/std; caffe: BGR, x - mean
  std::string variant = "v1_5";      // where bottleneck blocks have their stride: v1 the first 1x1, v1_5 the 3x3
  std::string stem_pool = "padded";  // padded: 3x3 stride 2 padding 1; ceil: no padding, ceil mode
  std::string source = "nothing known of this file: torchvision's conventions are assumed";
  bool known = false;                // false: say so, and let the user decide
};

// In this order: metadata dura.input, dura.variant, dura.stem_pool; the file's SHA-256 among known ones; a description in the metadata that names Caffe or MSRA.
WeightConventions conventions_of(const StateDict& state, const std::string& file_sha256);

}  // namespace dura
