// From logits to an answer on the host: probabilities, and the most probable class. In double.
#pragma once
#include <cstdint>
#include <vector>

#include "engine/core/tensor.h"

namespace dura {

// Host copy of (N,classes) logits of any floating dtype.
std::vector<double> download_as_double(const Tensor& t);
// Softmax of each row of `classes` logits.
std::vector<double> softmax_rows(const std::vector<double>& logits, int64_t classes);

// The class of the largest of `classes` values in each row; the first of equals.
std::vector<int32_t> argmax_rows(const std::vector<double>& values, int64_t classes);

}  // namespace dura
