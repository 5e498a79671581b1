// Executes a graph's description (engine/cuda/graph.h) and a matrix product by their definitions, in double. A value is rounded where the
// description says that it reaches memory: at every tensor that is not virtual. What cuDNN's own order of summation does to the last bits
// is not imitated.
#pragma once
#include <vector>

#include "engine/cuda/driver.h"

namespace dura::cuda::sim {

void interpret(const Graph& graph, const std::vector<void*>& addresses);
void multiply(const Product& product, bool tf32);  // tf32: factors are rounded to it first

}  // namespace dura::cuda::sim
