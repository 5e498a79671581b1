// The mean of a network's weights over epochs (stochastic weight averaging, SWA: Izmailov et al. 2018, arXiv 1803.05407). It often lies in
// a flatter place than any of them, and costs one copy of the weights in host memory.
// Invariant: k epochs give the same bytes whether or not the mean was written and read back between them.
#pragma once
#include "weights/state.h"

namespace dura {

class WeightAverage {
 public:
  // The weights after another epoch: names, extents and f32 elements of the ones before. mean += (weights - mean) / k, in double, stored as
  // f32: entries that never changed keep their bits.
  void add(const StateDict& weights);
  int64_t epochs() const { return epochs_; }
  const StateDict& mean() const { return mean_; }  // empty before the first epoch

  // For checkpoints: entries "average.<name>" and how many epochs they are of.
  void save(StateDict& into) const;
  // Nothing is left where the checkpoint holds none. Throws where it is damaged; `file` names it.
  void restore(const StateDict& from, const std::string& file);

 private:
  StateDict mean_;
  int64_t epochs_ = 0;
};

}  // namespace dura
