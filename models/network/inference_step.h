// Inference on batches of one shape as a captured step: normalise, forward. As training's step it is planned before it runs, keeps one
// arena instead of asking for memory layer by layer, and is replayed on CUDA. BatchNorm is folded into the filters there, once for each
// change of a value.
#pragma once
#include <memory>

#include "engine/plan/captured_step.h"
#include "layers/folded_units.h"
#include "models/network/classifier.h"

namespace dura {

class InferenceStep {
 public:
  // For u8 images of shape `images` (N,H,W,3). `model` must outlive the step, and its parameters and buffers stay where they are.
  // `capture`: as in CapturedStepOptions.
  // With `keep_features` each run leaves what the backbone gave, too.
  InferenceStep(Classifier& model, const Shape& images, bool capture = true, bool keep_features = false);

  // Plans the step and takes its memory; OutOfMemory says which batch would fit. The first run() does it otherwise.
  void prepare() { step_->prepare(); }

  // Host images -> logits (N,classes) on the model's device, which the next run overwrites. In inference form (no dropout, stored
  // statistics); the model's training mode is as before afterwards.
  const Tensor& run(const Tensor& images);

  // (N,h,w,channels) of the last run; undefined where they are not kept. The next run overwrites them.
  const Tensor& features() const { return features_; }

  Classifier& model() const { return model_; }
  const CapturedStep& captured() const { return *step_; }

 private:
  Classifier& model_;
  FoldedUnits folded_;
  Tensor images_, logits_, features_;
  std::unique_ptr<CapturedStep> step_;
};

}  // namespace dura
