// The training loop: phases of epochs, each epoch followed by validation, early stopping, history and a checkpoint. A run that was
// interrupted continues from its last checkpoint and ends with the same bytes as one that was not: everything random is a function of
// (seed, epoch, sample), and the checkpoint holds the rest.
//
// Files in the run directory: history.csv; last.safetensors (everything needed to go on); best_<phase>.safetensors (the model with the best
// monitored value).
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "apps/program/stop_request.h"
#include "apps/training/early_stopping.h"
#include "apps/training/feature_cache.h"
#include "apps/training/schedule.h"
#include "apps/training/train_step.h"
#include "data/set/loader.h"

namespace dura {

struct PhasePlan {
  std::string name;  // "phase1"
  int64_t epochs = 1;
  double learning_rate = 1e-3;  // where the schedule begins, or what it rises to
  ScheduleOptions schedule = {};
  std::string unfreeze = "none";  // Classifier::unfreeze policy
  // Units of the backbone that had no weights in the file: trained in every phase, with batch statistics where this is set.
  bool fresh_batch_statistics = false;
  EarlyStoppingOptions early_stopping = {};
  bool restore_best = true;  // the phase ends with the weights of its best epoch; otherwise with those of its last
};

// Frees the phase's part of the network; what had no weights (`fresh`, names of convolutions) is free in every phase.
void set_trainable(Classifier& model, const PhasePlan& plan, const std::vector<std::string>& fresh);

struct FitOptions {
  std::filesystem::path run;
  std::vector<PhasePlan> phases;
  int64_t batch = 16;
  LossOptions loss;
  AdamOptions adam;  // its learning rate is the phase's
  LossScalerOptions scaler;
  std::vector<AugmentPolicy> augment;  // one per class; empty: none, and the features of the frozen part are computed once
  std::vector<LoaderItem> items = {};  // of a training epoch; empty: every image once
  size_t feature_budget = 0;           // bytes of host memory for cached features; 0: none are kept
  uint64_t seed = 0;
  bool resume = false;  // go on from last.safetensors where there is one
  bool capture = true;  // CapturedStepOptions
};

struct FitOutcome {
  bool interrupted = false;         // by the stop request: go on with resume
  bool best_restored = false;       // interrupted, and the model holds the best weights so far
  std::vector<int64_t> best_epoch;  // of each finished phase
};

// Trains `model` and leaves in it the weights that the last phase is to end with; where the stop request ended it, the best ones so far
// (where there are any). `fresh` names the convolutions that had no weights in the file.
FitOutcome fit(Classifier& model, const std::vector<std::string>& fresh, const Dataset& train, const Dataset& val,
               const FitOptions& options, const StopRequest& stop);

}  // namespace dura
