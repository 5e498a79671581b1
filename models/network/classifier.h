// Backbone, global average pooling, dropout, dense layer: the network of the mission. It takes u8 images and normalises them itself, so
// that weights and preprocessing cannot come apart.
#pragma once
#include <string>
#include <vector>

#include "models/network/resnet.h"

namespace dura {

struct ClassifierOptions {
  ResNetOptions backbone = {};
  std::vector<std::string> classes = {};  // in order: class i is label i
  InputConvention input = InputConvention::torch;
  double dropout = 0.5;
  uint64_t seed = 0;  // of initialisation and dropout
};

// What becomes of a pixel's red, green and blue, 0 to 255: (value - mean) / deviation, by channel in the order in which the network takes
// them. ImageNet's means and deviations: torchvision's on [0,1], Caffe's on [0,255] without deviation.
struct Normalisation {
  float mean[3], deviation[3];
  bool bgr;  // the network takes blue first
};
const Normalisation& normalisation_of(InputConvention input);

// no: the weights are undefined until load_state has set them all; saves drawing 23 million random numbers.
enum class Initialise : bool { no, yes };

class Classifier : public Module {
 public:
  explicit Classifier(const ClassifierOptions& options, Initialise initialise = Initialise::yes);

  ResNet& backbone() { return backbone_; }
  const ResNet& backbone() const { return backbone_; }
  Linear& head() { return head_; }
  const ClassifierOptions& options() const { return options_; }
  const std::vector<std::string>& classes() const { return options_.classes; }

  // u8 (N,H,W,3) on the CPU or on the model's device -> normalised images in the compute dtype, on the model's device
  Tensor normalize(const Tensor& images);
  // Normalised images -> logits (N,classes). row_keys i32 (N,2) feed dropout; undefined while not training.
  Var operator()(const Var& x, const Tensor& row_keys = {});
  // From the backbone's features (N,h,w,channels) to logits.
  Var classify(const Var& features, const Tensor& row_keys = {});

  // ---- what is trained ----
  // Freezes the whole backbone, BatchNorm statistics included. The head stays free.
  void freeze_backbone();
  // Frees a part of it: "keras50" (Keras' last half of the layers: from layer3.0's shortcut and last convolution on; half of the
  // convolutions of other depths), "layer3+" (a block or stage and what follows: also "layer3.3+", "layer4"), "50%convs", "all", "none".
  // BatchNorm's gamma and beta are freed with their convolution; its statistics stay as they are set.
  void unfreeze(const std::string& policy);
  int64_t trainable_numel();

 private:
  ClassifierOptions options_;
  ResNet backbone_;
  Dropout dropout_;
  Linear head_;
};

}  // namespace dura
