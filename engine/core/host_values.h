// Between the host and tensors on any device.
#pragma once
#include <string>
#include <vector>

#include "engine/core/tensor.h"

namespace dura {

// A tensor of its own on the CPU with the same bytes.
Tensor host_copy(const Tensor& t, const std::string& what = "tensor");

// The values of a tensor of any floating dtype.
std::vector<double> download_as_double(const Tensor& t);
// A new tensor of any floating dtype; values are rounded to it.
Tensor upload_from_double(const Shape& shape, const std::vector<double>& values, DType dtype, Device device,
                          const std::string& what = "tensor");

}  // namespace dura
