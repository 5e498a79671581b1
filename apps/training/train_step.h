// One training step of the classifier as a captured step: normalise, forward, loss, backward, Adam, metric sums. Its inputs are fixed
// tensors that run() fills; its outcome stays on the device until metrics are read.
#pragma once
#include <memory>
#include <vector>

#include "data/set/loader.h"
#include "engine/optim/adam.h"
#include "engine/plan/captured_step.h"
#include "models/network/classifier.h"

namespace dura {

struct LossOptions {
  std::vector<double> class_weights;  // in class order; empty: all 1
  CrossEntropyOptions cross_entropy;
};

// Sums over the batches since the last reset, for the averages of an epoch.
struct TrainSums {
  int64_t images = 0;
  double weighted_loss = 0, loss = 0;  // sums over images
  std::vector<int64_t> confusion;      // K*K, [label*K + predicted]
};

class TrainStep {
 public:
  // Runs the model from `first_stage` on. `input` is the shape of what it takes: 0 takes u8 images (N,H,W,3); k > 0 the features behind
  // stage k-1, (N,h,w,C). `model` and `adam` must outlive the step; what is trainable must not change in its lifetime. `capture`: as in
  // CapturedStepOptions.
  TrainStep(Classifier& model, Adam& adam, const LossOptions& loss, const Shape& input, int first_stage = 0, bool capture = true);

  // Plans the step and takes its memory; OutOfMemory says which batch would fit. The first run() does it otherwise.
  void prepare() { step_->prepare(); }

  // The batch's images, or with first_stage > 0 their features.
  void run(const Batch& batch, const Tensor& features = {});

  TrainSums read_sums() const;
  void reset_sums();
  const CapturedStep& captured() const { return *step_; }

 private:
  struct Inputs {
    Tensor input, labels, row_keys;  // of one batch
  };
  void body(const Inputs& in);

  Classifier& model_;
  Adam& adam_;
  CrossEntropyOptions loss_options_;
  int first_stage_;
  int64_t images_ = 0;
  Inputs in_;
  Tensor class_weights_, sums_;
  std::unique_ptr<CapturedStep> step_;
};

}  // namespace dura
