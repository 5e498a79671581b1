// Everything that dura-train can be told. dura-study and cross-validation fill it in for the runs that they start.
#pragma once
#include <string>
#include <vector>

#include "apps/program/augment_options.h"
#include "apps/program/data_options.h"
#include "apps/training/fit.h"
#include "apps/training/optimizer_options.h"
#include "weights/conventions.h"

namespace dura {

struct TrainOptions {
  DataOptions data = {};
  PreprocessingOptions preprocessing = {};
  AugmentOptions augment = {};
  OptimizerOptions optimizer = {};
  GivenConventions given = {};  // of the weight file
  std::string out = {}, weights = {}, unfreeze = "keras50", monitor = "val_loss";
  std::string sheet = {}, find_lr = "off", precision = "f32", restore = "best";
  std::vector<std::string> class_weights = {};
  int64_t depth = 50, batch = 16, phase1_epochs = 5, phase2_epochs = 15, patience = 5, seed = 0, folds = 0, feature_mib = -1;
  double phase1_lr = 1e-3, phase2_lr = 1e-5, dropout = 0.5;
  bool resume = false, exact = false, no_capture = false;

  void declare(OptionSet& options);

  // What fit() is told, for these training images. UsageError for what the phases would find out late, at the end of their first epoch.
  FitOptions fit_options(const Dataset& training, const ClassNames& classes) const;
};

}  // namespace dura
