// The sum of the gradients of several passes (lanes) in one fixed binary tree: ((0+1)+(2+3))+((4+5)+(6+7)). Whoever holds a block of lanes
// whose size is a power of two holds a subtree, so the sum has the same bits however the lanes are shared out.
#pragma once
#include <vector>

#include "engine/optim/parameter.h"

namespace dura {

class GradientTree {
 public:
  // For `lanes` passes, a power of two, over what `arena` gathers; the arena must outlive it. Memory: log2(lanes) flat arrays [stat] of all
  // gradients (at least one), and one more where gradients are stored in 16 bits, as sums are f32 then.
  GradientTree(const ParameterArena& arena, int64_t lanes);

  // Takes what lies in the arena now as the gradients of the next lane; after the last one the next call begins anew.
  void add_lane();
  // The last lane by pieces, which may be finished at different times: `count` elements of sum() from `begin` on, within one group. When
  // each element was in one piece, end_lane() takes the place of add_lane().
  bool is_last_lane() const { return next_ == lanes_ - 1; }
  void add_piece(int64_t begin, int64_t count);
  void end_lane();
  // All groups of the arena in one flat array, their padding zero, once all lanes were added; by group for Adam::step.
  const Tensor& sum() const { return pending_.back().all; }
  const std::vector<Tensor>& sum_of_groups() const { return pending_.back().groups; }

 private:
  struct Sums {
    Tensor all;
    std::vector<Tensor> groups;  // slices of it
  };
  Sums make_sums() const;
  // Of the lane to come, with what is complete then.
  void add(size_t group, int64_t begin, int64_t count);
  size_t complete_levels() const;

  const ParameterArena& arena_;
  int64_t lanes_, next_ = 0;
  std::vector<Sums> pending_;  // [k]: the sum of 2^k lanes that waits for its neighbour
  Sums widened_;               // a lane's gradients where they are stored in 16 bits
};

}  // namespace dura
