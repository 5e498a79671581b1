// What training minimises and how it steps, as options of dura-train.
#pragma once
#include <string>

#include "apps/program/option_set.h"
#include "apps/training/schedule.h"
#include "engine/core/backend.h"

namespace dura {

struct OptimizerOptions {
  std::string class_weight_norm = "batch", eps_form = "keras", schedule = "decay";
  double label_smoothing = 0, eps = 1e-7, clip_norm = 0, weight_decay = 0, phase2_decay = 1, plateau_factor = 0.5;
  int64_t warmup_epochs = 0, plateau_patience = 2;

  void declare(OptionSet& options);
  CrossEntropyOptions cross_entropy() const;
  AdamOptions adam() const;  // its learning rate is the phase's
  // `decay`: of the phase. UsageError for settings of one schedule beside another.
  ScheduleOptions schedule_of(double decay, const std::string& monitor) const;
};

}  // namespace dura
