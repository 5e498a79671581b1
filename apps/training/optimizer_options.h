// What training minimises and how it steps, as options of dura-train.
#pragma once
#include <string>

#include "apps/program.h"
#include "engine/backend.h"

namespace dura {

struct OptimizerOptions {
  std::string class_weight_norm = "batch", eps_form = "keras";
  double label_smoothing = 0, eps = 1e-7, clip_norm = 0, weight_decay = 0;

  void declare(Program& program);
  CrossEntropyOptions cross_entropy() const;
  AdamOptions adam() const;  // its learning rate is the phase's
};

}  // namespace dura
