// The training loop: phases of epochs, each epoch followed by validation, early stopping, history and a checkpoint. A run that was
// interrupted continues from its last checkpoint and ends with the same bytes as one that was not: everything random is a function of
// (seed, epoch, sample), and the checkpoint holds the rest.
//
// Where several processes share the work (FitOptions::ranks), rank 0 alone reads and writes them.
//
// Files in the run directory: history.csv; last.safetensors (everything needed to go on); best_<phase>.safetensors (the model with the best
// monitored value).
#pragma once
#include "apps/training/phase.h"

namespace dura {

struct FitOutcome {
  bool interrupted = false;         // by the stop request: go on with resume
  bool best_restored = false;       // interrupted, and the model holds the best weights so far
  std::vector<int64_t> best_epoch;  // of each finished phase
};

// What a guide needs, before a file of the run is written: UsageError where no training image has a lesion's mask, or none of validation
// though the monitor wants one. Logs how many have.
void require_lesions(const Dataset& train, const Dataset& val, const FitOptions& options);

// Trains `model` and leaves in it the weights that the last phase is to end with; where the stop request ended it, the best ones so far
// (where there are any). `fresh` names the convolutions that had no weights in the file.
FitOutcome fit(Classifier& model, const std::vector<std::string>& fresh, const Dataset& train, const Dataset& val,
               const FitOptions& options, const StopRequest& stop);

}  // namespace dura
