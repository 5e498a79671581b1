// Everything that dura-evaluate can be told. dura-study and cross-validation fill it in for the runs that they score.
#pragma once
#include <string>

#include "apps/program/data_options.h"

namespace dura {

struct EvaluateOptions {
  DataOptions data = {};
  std::string model = {}, split = "test", out = {}, rare = {}, threshold = "argmax", temperature = "off", precision = "f32";
  int64_t batch = 16, seed = 0, views = 0;
  bool balanced = false, no_capture = false;

  void declare(OptionSet& options);
};

}  // namespace dura
