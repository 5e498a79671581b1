// The graphs that a step needs, from the record of a dry run of it (engine/plan): no list of layers is kept by hand.
#pragma once
#include <algorithm>
#include <vector>

#include "engine/cuda/graph.h"
#include "engine/plan/meta_backend.h"

namespace dura::cuda {

struct GraphList {
  std::vector<Graph> convolutions;  // forward with their epilogues, backward data, backward filter
  std::vector<Graph> batch_norms;   // training forward with residual, ReLU and mask; backward with the mask
  std::vector<Graph> dense;         // dense layers as 1x1 convolutions
};

inline void add_once(std::vector<Graph>& graphs, Graph graph, bool tf32) {
  graph.tf32 = tf32 && multiplies_f32(graph);
  if (std::find(graphs.begin(), graphs.end(), graph) == graphs.end()) graphs.push_back(std::move(graph));
}

// Each graph once, in the order of first need. `tf32`: f32 products may use TF32.
inline GraphList graphs_of(const std::vector<KernelCall>& calls, bool tf32) {
  GraphList list;
  for (const KernelCall& c : calls) {
    const auto is = [&](const char* kernel) { return c.kernel == kernel; };
    if (is("conv_forward") || is("conv_backward_data") || is("conv_backward_filter"))
      add_once(list.convolutions, padded_conv_graph(c.geometry, c.dtype, c.key), tf32);
    else if (is("linear_forward") || is("linear_backward_data") || (is("linear_backward_weight") && c.geometry.K > 0))
      add_once(list.dense, padded_conv_graph(c.geometry, c.dtype, c.key), tf32);
    else if (is("batch_norm_training_forward"))
      add_once(list.batch_norms, batch_norm_training_graph(c.output, c.dtype, c.batch_norm), tf32);
    else if (is("batch_norm_training_backward"))
      add_once(list.batch_norms, batch_norm_backward_graph(c.output, c.dtype, c.batch_norm), tf32);
  }
  return list;
}

}  // namespace dura::cuda
