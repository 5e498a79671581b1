#include "models/network/answer.h"

#include <algorithm>
#include <cmath>

#include "engine/core/backend.h"

namespace dura {

std::vector<double> download_as_double(const Tensor& t) {
  Tensor host = Tensor::empty(t.shape(), t.dtype(), Device::cpu);
  backend(t.device()).download(t, host.raw());
  const Tensor wide = Tensor::empty(t.shape(), DType::f64, Device::cpu);
  backend(Device::cpu).cast(host, wide);
  return {wide.data<double>(), wide.data<double>() + wide.numel()};
}

std::vector<double> softmax_rows(const std::vector<double>& logits, int64_t classes) {
  std::vector<double> p = logits;
  for (auto row = p.begin(); row != p.end(); row += classes) {
    const double largest = *std::max_element(row, row + classes);
    double sum = 0;
    for (auto v = row; v != row + classes; ++v) sum += * v = std::exp(*v - largest);
    for (auto v = row; v != row + classes; ++v) *v /= sum;
  }
  return p;
}

std::vector<int32_t> argmax_rows(const std::vector<double>& values, int64_t classes) {
  std::vector<int32_t> best;
  for (auto row = values.begin(); row != values.end(); row += classes)
    best.push_back(static_cast<int32_t>(std::max_element(row, row + classes) - row));
  return best;
}

}  // namespace dura
