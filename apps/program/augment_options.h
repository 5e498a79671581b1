// How training images are varied, and how often a rare class is shown, as options of dura-train.
#pragma once
#include <string>
#include <vector>

#include "apps/program/option_set.h"
#include "data/set/augment.h"
#include "data/set/class_names.h"
#include "data/set/loader.h"

namespace dura {

struct AugmentOptions {
  std::string preset = "none", rare = {};
  std::vector<std::string> per_class = {};  // "Menin=strong,rotation=30"
  double oversample = 0;                    // the rare class's share of an epoch; 0: every image once

  void declare(OptionSet& options);
  // One per class: what --augment gives it, changed by its --augment-class. UsageError naming the option, what was found and expected.
  std::vector<AugmentPolicy> policies(const std::vector<int64_t>& training_images, const ClassNames& classes) const;
  // Of a training epoch.
  std::vector<LoaderItem> items(const Dataset& training, const ClassNames& classes, uint64_t seed) const;
};

// "Menin rotation=20,hflip=0.5; Glioma none"
std::string describe(const std::vector<AugmentPolicy>& policies, const ClassNames& classes);

}  // namespace dura
