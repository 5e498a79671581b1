// One phase of training at work: what lives as long as the set of trainable parameters does. Optimizer, steps, loaders and cached features
// are made anew for each phase.
#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "apps/program/process.h"
#include "apps/training/feature_cache.h"
#include "apps/training/guide.h"
#include "apps/training/history.h"
#include "apps/training/prediction.h"
#include "apps/training/schedule.h"
#include "apps/training/train_step.h"
#include "models/network/inference_step.h"

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
  bool guided = true;        // by FitOptions::guide
  bool restore_best = true;  // the phase ends with the weights of its best epoch; otherwise with those of its last
  // From this epoch on, counted from 1, weights are averaged, and the phase ends with their mean (WeightAverage); 0: none are.
  int64_t average_from = 0;
};

struct FitOptions {
  std::filesystem::path run;
  std::vector<PhasePlan> phases;
  int64_t batch = 16;          // images of a step
  TrainStepOptions step = {};  // of every phase, which knows its first stage; rank 0 alone writes files
  LossOptions loss;            // without the guide
  GuideOptions guide = {};
  AdamOptions adam;  // its learning rate is the phase's
  LossScalerOptions scaler;
  std::vector<AugmentPolicy> augment;  // one per class; empty: none
  // The augmentations come again after so many epochs, and the features of the frozen part are computed once for each; 0: never.
  int64_t augment_repeat = 0;
  std::vector<LoaderItem> items = {};  // of a training epoch; empty: every image once
  size_t feature_budget = 0;           // bytes of host memory for cached features; 0: none are kept
  uint64_t seed = 0;
  bool resume = false;  // go on from last.safetensors where there is one
  // Pictures are augmented by a device whose memory the host cannot read; it keeps so many bytes of them, -1: half of what it has left.
  bool device_augments = true;
  int64_t device_picture_bytes = -1;

  int64_t rows_at_once() const { return batch / step.lanes; }
  LoaderOptions training_loader(const LesionGrid& lesions) const;
  // With the guide, and where the loader has to say that lesions lie.
  LossOptions loss_on(Classifier& model, const PhasePlan& plan, const Dataset& train) const;
  // All images in order, of which this process has some batches in a row; no items where there are not enough for all.
  LoaderOptions ordered_loader(const Dataset& dataset) const;
  // The pictures of an epoch of training, divided in the same way.
  LoaderOptions ordered_training_loader(const Dataset& train) const;
};

// Frees the phase's part of the network; what had no weights (`fresh`, names of convolutions) is free in every phase.
void set_trainable(Classifier& model, const PhasePlan& plan, const std::vector<std::string>& fresh);

// Whether this process or another was asked to stop: all of them ask at the same place, and get the same answer.
bool stop_of_any(const StopRequest& stop, Communicator& ranks);
// Thrown where the answer is yes: between steps, and between batches of features and of validation.
struct Interrupted {};
void heed_stop(const StopRequest& stop, Communicator& ranks);

class Phase {
 public:
  // Plans both steps and takes their memory. Everything given must outlive the phase. This and what follows may throw Interrupted.
  Phase(Classifier& model, const PhasePlan& plan, const std::vector<std::string>& fresh, const Dataset& train, const Dataset& val,
        const FitOptions& options, const StopRequest& stop);

  Adam& adam() { return *adam_; }
  // Fills the training part of the record. `global_epoch` counts over all phases.
  void train_epoch(int64_t global_epoch, const Schedule& schedule, EpochRecord& record);
  void validate(EpochRecord& record);  // fills the rest
  void log_epoch(const EpochRecord& record, bool improved) const;
  void log_average(const EpochRecord& validated, int64_t epochs) const;
  // What became of the prediction that was logged when the phase began.
  void log_memory() const;

 private:
  std::string validation_text(const EpochRecord& record) const;
  void fill_cache(const Dataset& train, bool augmented);
  Predictions predict_validation(const FeatureUse& use);
  void make_step(const Dataset& train, const LossOptions& loss);
  void keep_pictures(const Dataset& train);

  Classifier& model_;
  const Dataset& val_;
  const PhasePlan& plan_;
  const FitOptions& options_;
  const StopRequest& stop_;
  std::unique_ptr<Adam> adam_;
  std::unique_ptr<Loader> train_loader_, val_loader_;      // validation: null where there are fewer batches than processes
  std::unique_ptr<FeatureCache> train_cache_, val_cache_;  // null: nothing is kept
  std::unique_ptr<InferenceStep> validation_;              // without a cache
  std::unique_ptr<TrainStep> step_;
  std::unique_ptr<DevicePictures> pictures_;  // of training, where the device augments them
};

}  // namespace dura
