// Where did the network look? Grad-CAM and three of its relatives, from the activations A of a stage and the gradients g of a class's logit
// with respect to them; k counts channels, the sums over places run over the whole map of a channel:
//   Grad-CAM (Selvaraju et al. 2017)            relu(sum_k w_k A_k),       w_k = the mean of g_k over all places
//   Grad-CAM++ (Chattopadhyay et al. 2018)      relu(sum_k w_k A_k),       w_k = the sum of relu(g_k) a_k over all places,
//                                               a_k = g_k^2 / (2 g_k^2 + sum(A_k) g_k^3 + 1e-6), 0 where g_k is 0
//   HiResCAM (Draelos and Carin 2020)           relu(sum_k g_k A_k),       place by place
//   LayerCAM (Jiang et al. 2021)                relu(sum_k relu(g_k) A_k), place by place
// The 1e-6 is pytorch-grad-cam's, so that maps agree with that tool's; the paper has none. Behind a stage come only mean and dense layer
// where it is layer4: there Grad-CAM and HiResCAM are equal, and equal to CAM (Zhou et al. 2016) up to a factor.
// Works through frozen layers and needs no hooks: the network is run until the stage, a tape is opened, and it is run from there.
#pragma once
#include <string>
#include <vector>

#include "models/network/classifier.h"

namespace dura {

enum class CamMethod : uint8_t { grad_cam, grad_cam_plus_plus, hires_cam, layer_cam };
const std::vector<std::string>& cam_method_names();     // in the order of the enumeration: "gradcam", "gradcam++", "hirescam", "layercam"
CamMethod cam_method_by_name(const std::string& name);  // UsageError for any other

struct GradCamOptions {
  CamMethod method = CamMethod::grad_cam;
  int stage = 4;                      // 0 is the stem, 1 to 4 are layer1 to layer4
  std::vector<int32_t> classes = {};  // one for each image; empty: the predicted ones
};

struct GradCam {
  Tensor maps;                   // (N,h,w) [stat], where it was computed; raw values >= 0. A map of zeros: nothing speaks for the class.
  Tensor logits;                 // (N,classes) on the model's device
  std::vector<int32_t> classes;  // the class that each map explains
};

// x: normalised images (N,H,W,3). The model must not be in training mode.
GradCam grad_cam(Classifier& model, const Tensor& x, const GradCamOptions& options = {});
// The same from the activations (N,h,w,C) that the stage gives.
GradCam grad_cam_of(Classifier& model, const Tensor& activations, const GradCamOptions& options = {});

}  // namespace dura
