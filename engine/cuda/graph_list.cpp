#include "engine/cuda/graph_list.h"

#include <algorithm>

namespace dura::cuda {
namespace {

void add_once(std::vector<Graph>& graphs, Graph graph, bool tf32) {
  graph.tf32 = tf32 && graph.tensors.front().dtype == DType::f32;
  if (std::find(graphs.begin(), graphs.end(), graph) == graphs.end()) graphs.push_back(std::move(graph));
}

ConvGeometry padded(ConvGeometry g, DType dtype) {
  g.C = padded_channels(g.C, dtype);
  return g;
}

}  // namespace

int64_t padded_channels(int64_t channels, DType dtype) {
  const int64_t multiple = dtype == DType::f16 ? 4 : dtype == DType::bf16 ? 8 : 1;
  return (channels + multiple - 1) / multiple * multiple;
}

GraphList graphs_of(const std::vector<KernelCall>& calls, bool tf32) {
  GraphList list;
  for (const KernelCall& c : calls) {
    const ConvGeometry g = padded(c.geometry, c.dtype);
    const KernelForm& f = c.form;
    if (c.kernel == "conv_forward")
      add_once(list.convolutions, conv_forward_graph(g, c.dtype, {.residual = f.residual, .bias = f.bias, .relu = f.relu}), tf32);
    else if (c.kernel == "conv_backward_data")
      add_once(list.convolutions, conv_backward_data_graph(g, c.dtype, f.accumulate), tf32);
    else if (c.kernel == "conv_backward_filter")
      add_once(list.convolutions, conv_backward_filter_graph(g, c.dtype, f.accumulate), tf32);
    else if (c.kernel == "scale_shift_act")
      add_once(list.batch_norms, batch_norm_training_graph(c.output, c.dtype, {.residual = f.residual, .relu = f.relu}), false);
    else if (c.kernel == "batch_norm_backward_sums")
      add_once(list.batch_norms, batch_norm_backward_graph(c.output, c.dtype, f.relu, f.writes_g), false);
    else if (c.kernel == "linear_forward")
      add_once(list.dense, conv_forward_graph(g, c.dtype, {.bias = f.bias}), tf32);
    else if (c.kernel == "linear_backward_data")
      add_once(list.dense, conv_backward_data_graph(g, c.dtype, f.accumulate), tf32);
    else if (c.kernel == "linear_backward_weight" && g.K > 0)
      add_once(list.dense, conv_backward_filter_graph(g, c.dtype, f.accumulate), tf32);
  }
  return list;
}

}  // namespace dura::cuda
