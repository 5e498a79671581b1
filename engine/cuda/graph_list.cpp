#include "engine/cuda/graph_list.h"

#include <algorithm>

namespace dura::cuda {
namespace {

void add_once(std::vector<Graph>& graphs, Graph graph, bool tf32) {
  graph.tf32 = tf32 && multiplies_f32(graph);
  if (std::find(graphs.begin(), graphs.end(), graph) == graphs.end()) graphs.push_back(std::move(graph));
}

}  // namespace

GraphList graphs_of(const std::vector<KernelCall>& calls, bool tf32) {
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
