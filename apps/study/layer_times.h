// Where a step's time goes: milliseconds of each op of each layer, forward and backward, with the rate of the convolutions. `dura-bench
// --layers` prints it.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "apps/program/text_table.h"
#include "engine/core/trace.h"
#include "models/network/classifier.h"

namespace dura {

class LayerTimes {
 public:
  explicit LayerTimes(const std::vector<ConvBn*>& convolutions);

  // The records of one op follow each other. An op that runs several times in a step, each time for a part of the batch, counts as one.
  void add(const OpRecord& record);
  // Behind each run of the same step.
  void end_step();

  // A row for each layer and direction in the order in which they ran: median ms, share of the time, and for convolutions GFLOP/s (the
  // direct algorithm's operations, also where Winograd's does fewer) and their share of `peak` (FLOP/s; 0: unknown). Sums stand below.
  Table table(double peak) const;

 private:
  struct Op {
    std::string direction, op, layer;
    int64_t passes = 0;         // of a convolution: 1 forward; backward 1 for each of the two gradients
    double last = 0, step = 0;  // ms of the last run, and of this step so far
    std::vector<double> times;  // ms of each step
  };
  double flops(const Op& op) const;

  std::map<std::string, Shape> filters_;  // (K,R,S,C) by layer
  std::map<std::string, Shape> outputs_;  // of the forward convolutions
  std::vector<Op> ops_;
  std::map<std::string, size_t> found_;  // direction, op and layer -> index
  bool first_step_ = true;
};

}  // namespace dura
