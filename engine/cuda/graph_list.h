// The graphs that a step needs, from the record of a dry run of it (engine/plan): no list of layers is kept by hand.
#pragma once
#include <vector>

#include "engine/cuda/graph.h"
#include "engine/plan/meta_backend.h"

namespace dura::cuda {

struct GraphList {
  std::vector<Graph> convolutions;  // forward with their epilogues, backward data, backward filter
  std::vector<Graph> batch_norms;   // training forward with residual, ReLU and mask; backward with the mask
  std::vector<Graph> dense;         // dense layers as 1x1 convolutions
};

// Each graph once, in the order of first need. `tf32`: f32 products may use TF32.
GraphList graphs_of(const std::vector<KernelCall>& calls, bool tf32);

}  // namespace dura::cuda
