// The fixed steps between a decoded slice and the network's input: every slice goes through them once, before it is cached. Their
// description is part of what a model was trained with: a model must never see slices prepared in another way than it learnt from.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "data/image/image.h"

namespace dura {

struct PreprocessStep {
  std::string name;  // with its parameters, "resize 224x224"
  std::function<Image(Image)> slice;
  std::function<Image(Image)> mask = {};  // where a step moves pixels, its mask must move alike; empty where it does not
};

PreprocessStep resize_step(int64_t height, int64_t width);  // antialiased for slices, nearest pixel for masks

class Preprocessing {
 public:
  Preprocessing() = default;
  explicit Preprocessing(std::vector<PreprocessStep> steps) : steps_(std::move(steps)) {}

  Image slice(Image image) const;
  Image mask(Image mask) const;
  const std::vector<PreprocessStep>& steps() const { return steps_; }
  std::string description() const;  // the names in order, "; " between them; "none"

 private:
  std::vector<PreprocessStep> steps_;
};

}  // namespace dura
