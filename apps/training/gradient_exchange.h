// The levels of the gradient tree that lie between processes, while backward is still at work: the sum is cut into buckets, and each is
// exchanged as soon as the last lane of this process has finished it. The order of additions is that of the whole sum at once, so its bytes
// are the same.
//
// The invariant: all ranks have the same network, so that they finish buckets in the same order.
#pragma once
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "engine/base/parallel.h"
#include "engine/comm/communicator.h"
#include "engine/optim/gradient_tree.h"

namespace dura {

// Adds the ranks' elements of `sum`, f32 or f64 in memory of the host.
void all_reduce(Communicator& ranks, const Tensor& sum);

class GradientExchange {
 public:
  // The tree's sum lies in memory that the host can read. `bucket_bytes`: a bucket has as few parameters in a row as have so many bytes of
  // sums (a last one of a group fewer).
  GradientExchange(const ParameterArena& arena, GradientTree& tree, Communicator& ranks, int64_t bucket_bytes);
  ~GradientExchange();

  // Of the last lane: no rule is left that could add to this gradient (Adam::gather). Those of no parameter are passed over.
  void finished(const Gradient& gradient);
  // After the last lane's backward: returns when the tree has the sum over all ranks.
  void finish();

  int64_t buckets() const { return static_cast<int64_t>(buckets_.size()); }
  int64_t bytes_per_step() const;  // that this rank sends

 private:
  struct Bucket {
    int64_t begin = 0, count = 0;  // elements of the tree's sum
    int64_t parameters = 0, missing = 0;
  };
  GradientTree& tree_;
  Communicator& ranks_;
  std::vector<Bucket> buckets_;
  std::unordered_map<const Gradient*, size_t> bucket_of_;
  Background sender_;  // last: it ends first
};

}  // namespace dura
