// The passes through ResNet-50 that the programs make, for whoever wants to know which graphs they need: the check of plans without a card,
// and the test that the graphs which run are those.
#pragma once
#include <functional>
#include <string>

#include "engine/core/ops.h"
#include "models/network/classifier.h"
#include "tests/support/graph_list.h"

namespace dura {

class ResNet50Passes {
 public:
  ResNet50Passes(DType compute, Device device, int64_t batch, int64_t size)
      : model_({.backbone = {.depth = 50, .tensors = {.compute = compute, .device = device}}, .classes = {"Menin", "Glioma"}},
               Initialise::no),
        images_(Tensor::zeros({batch, size, size, 3}, DType::u8, device)),
        labels_(Tensor::zeros({batch}, DType::i32, device)),
        keys_(Tensor::zeros({batch, 2}, DType::i32, device)) {}

  // Calls `visit` with what is trained and a pass to run: everything, the head alone, the last half, and inference. Once in the life of the
  // object: freezing is not taken back.
  void each(const std::function<void(const std::string& trained, const std::function<void()>& pass)>& visit) {
    const auto training = [this] { train(); };
    model_.set_training(true);
    visit("all", training);
    model_.freeze_backbone();
    visit("head", training);
    model_.unfreeze("keras50");
    visit("keras50", training);
    model_.set_training(false);
    visit("nothing", [this] { model_(model_.normalize(images_)); });
  }

 private:
  void train() {
    for (Parameter* p : model_.parameters()) p->gradient()->reset();
    Tape tape;
    tape.backward(cross_entropy(model_(model_.normalize(images_), keys_), labels_).loss);
  }

  Classifier model_;
  Tensor images_, labels_, keys_;
};

}  // namespace dura
