// Numbers between the host and a tensor of any floating dtype on any device, through double.
#pragma once
#include <string>
#include <vector>

#include "engine/core/tensor.h"

namespace dura {

std::vector<double> download_as_double(const Tensor& t);
// A new tensor; values are rounded to its dtype.
Tensor upload_from_double(const Shape& shape, const std::vector<double>& values, DType dtype, Device device,
                          const std::string& what = "tensor");

}  // namespace dura
