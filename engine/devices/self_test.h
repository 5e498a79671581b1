// Does a CUDA device compute what the CPU computes? Asked before a program takes a card that nobody chose by name (--device auto): a
// library or driver that does not fit shows itself here, not in a model.
#pragma once
#include <string>

#include "engine/core/device.h"

namespace dura::cuda {

// Runs a small step of training in f32 there and on the CPU: convolution, BatchNorm, residual, pooling, dense layer, loss and their
// gradients.
// "" where each result is within `tolerance` of the largest value; else what is wrong, in one line, errors of the device included.
// Takes seconds on a card: cuDNN and cublasLt are loaded.
std::string self_test(Device device, double tolerance = 1e-3);

}  // namespace dura::cuda
