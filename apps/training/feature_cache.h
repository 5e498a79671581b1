// The features of images behind the longest frozen part of the backbone, kept in host memory up to a budget, by Batch::pictures. Valid
// while the frozen weights, the images, their preprocessing and augmentation stay as they are: make a new one for each phase. Over the
// budget the rest is computed again each time, and the log says so once.
#pragma once
#include <unordered_map>
#include <vector>

#include "models/network/classifier.h"

namespace dura {

class Communicator;

// The last stage (0 to 4) such that everything up to it is frozen and uses stored statistics; -1 where the stem is free.
int last_frozen_stage(Classifier& model);

// A quarter of the memory that this process can have.
size_t default_feature_budget();

class FeatureCache {
 public:
  FeatureCache(Classifier& model, size_t budget_bytes);

  int stage() const { return stage_; }  // features behind this stage; -1: nothing is frozen, nothing is cached
  // Features (N,h,w,C) on the model's device for u8 CPU images (N,H,W,3) with these picture numbers (-1: padding); computed and remembered
  // where missing.
  Tensor features(const Tensor& images, const std::vector<int64_t>& pictures);
  // Computes the features of a batch and remembers them, and those that the other processes compute in the same call: all of them then hold
  // the same rows. No images: there is nothing to compute here. `shape`: of the features of a batch.
  void fill(const Tensor& images, const std::vector<int64_t>& pictures, const Shape& shape, Communicator& ranks);
  // Of a batch of images of this shape, without computing anything.
  Shape feature_shape(const Shape& images);
  size_t bytes() const { return bytes_; }

 private:
  Tensor compute(const Tensor& images) const;
  void remember(const Tensor& features, const std::vector<int64_t>& pictures);

  Classifier& model_;
  size_t budget_, bytes_ = 0;
  int stage_;
  bool full_ = false;
  std::unordered_map<int64_t, Tensor> rows_;  // CPU, (h,w,C)
};

}  // namespace dura
