// Biases of convolutions, which files of Caffe and Keras have and dura's networks do not: behind each convolution stands a BatchNorm.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "weights/state.h"

namespace dura {

// Takes each bias out of the arrays and into the running mean of the BatchNorm behind its convolution, which is the same network where
// stored statistics are used: (x + b) - mean = x - (mean - b). With statistics of a batch a bias changes nothing. The names may have
// anything in front. A bias without its filter, or without a mean of as many numbers, stays. Returns the convolutions, "layer1.0.conv1".
std::vector<std::string> fold_conv_biases(std::map<std::string, Array>& arrays);

}  // namespace dura
