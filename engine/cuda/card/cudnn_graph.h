// The first reader of a graph's description: cuDNN's own descriptors. A tensor's unique number is its index in Graph::tensors plus one; the
// numbers behind them belong to constants (epsilon, zero), which are passed by value from host memory.
#pragma once
#include <deque>
#include <vector>

#include "engine/cuda/card/cudnn_library.h"
#include "engine/cuda/graph.h"

namespace dura::cuda {

class CudnnGraph {
 public:
  // `handle`: of the card at hand, or null where plans are only asked for, for a card that is not here.
  CudnnGraph(const Graph& graph, cudnnHandle_t handle);

  const CudnnDescriptor& descriptor() const { return descriptor_; }

  // Numbers and addresses of all tensors that are not virtual, constants included; `addresses` are those of the graph's tensors that are
  // not virtual, in their order. The addresses of constants point into this object.
  void bind(const std::vector<void*>& addresses, std::vector<int64_t>& numbers, std::vector<void*>& pointers) const;

 private:
  const CudnnDescriptor& constant(float value);
  void convolution(const GraphNode& node);
  void pointwise(const GraphNode& node);
  void batch_norm_training(const GraphNode& node);
  void batch_norm_backward(const GraphNode& node);
  const CudnnDescriptor& input(const GraphNode& node, size_t i) const { return tensors_[static_cast<size_t>(node.inputs[i])]; }
  const CudnnDescriptor& output(const GraphNode& node, size_t i) const { return tensors_[static_cast<size_t>(node.outputs[i])]; }

  std::vector<int64_t> real_;  // numbers of the graph's tensors that are not virtual
  std::vector<CudnnDescriptor> tensors_;
  std::deque<CudnnDescriptor> constants_, modes_, operations_;  // deques: nothing moves, addresses stay
  std::deque<float> values_;                                    // of the constants
  CudnnDescriptor descriptor_;
};

}  // namespace dura::cuda
