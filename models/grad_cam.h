// Grad-CAM (Selvaraju et al. 2017): where did the network look? The weights of the channels of a stage are the mean gradients of a class's
// logit with respect to them; the map is the positive part of the weighted sum. Works through frozen layers and needs no hooks: the network
// is run until the stage, a tape is opened, and it is run from there.
#pragma once
#include <vector>

#include "models/classifier.h"

namespace dura {

struct GradCam {
  Tensor maps;                   // (N,h,w) [stat] on the model's device; raw values >= 0
  Tensor logits;                 // (N,classes)
  std::vector<int32_t> classes;  // the class that each map explains
};

// x: normalised images (N,H,W,3). stage: 1 to 4 (layer1 ... layer4). classes: one for each image, or empty for the predicted ones.
// The model must not be in training mode.
GradCam grad_cam(Classifier& model, const Tensor& x, int stage = 4, std::vector<int32_t> classes = {});

}  // namespace dura
