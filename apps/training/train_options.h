// Everything that dura-train can be told, and what it begins with. dura-study and cross-validation fill it in for the runs that they start.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "apps/program/card_options.h"
#include "apps/program/data_options.h"
#include "apps/training/fit.h"
#include "weights/conventions.h"

namespace dura {

// What training minimises and how it steps.
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

struct TrainOptions {
  DataOptions data = {};
  PreprocessingOptions preprocessing = {};
  AugmentOptions augment = {};
  OptimizerOptions optimizer = {};
  GivenConventions given = {};  // of the weight file
  GuideOptions guide = {};
  CardOptions card = {};
  std::string guide_cells = "shares", guide_phases = "phase2";
  std::string out = {}, weights = {}, unfreeze = "keras50", monitor = "val_loss";
  std::string sheet = {}, find_lr = "off", precision = "f32", restore = "best";
  std::string device_sums = "exact", augment_on = "device";
  std::vector<std::string> class_weights = {};
  int64_t depth = 50, batch = 16, lanes = 1, phase1_epochs = 5, phase2_epochs = 15, patience = 5, seed = 0, folds = 0, feature_mib = -1,
          average_from = 0, bucket_kib = 4096, device_picture_mib = -1;
  double phase1_lr = 1e-3, phase2_lr = 1e-5, dropout = 0.5;
  bool resume = false, exact = false, no_capture = false;

  void declare(OptionSet& options);

  // What fit() is told, for these training images. UsageError for what the phases would find out late, at the end of their first epoch.
  FitOptions fit_options(const Dataset& training, const ClassNames& classes) const;
};

// The network that training begins with.
struct InitialModel {
  std::unique_ptr<Classifier> model;
  std::vector<std::string> fresh;  // names of the convolutions that the weight file lacks; all of them without a file
};

// The backbone with the weights of the options' file, used as the file wants it; what it lacks is initialised.
InitialModel initial_model(const TrainOptions& options, const std::vector<std::string>& classes, Device device);

}  // namespace dura
