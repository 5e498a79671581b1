#include "engine/core/host_values.h"

#include "engine/core/backend.h"

namespace dura {

Tensor host_copy(const Tensor& t, const std::string& what) {
  const Tensor host = Tensor::empty(t.shape(), t.dtype(), Device::cpu, what);
  backend(t.device()).download(t, host.raw());
  return host;
}

std::vector<double> download_as_double(const Tensor& t) {
  const Tensor wide = Tensor::empty(t.shape(), DType::f64, Device::cpu);
  backend(Device::cpu).cast(host_copy(t), wide);
  return {wide.data<double>(), wide.data<double>() + wide.numel()};
}

Tensor upload_from_double(const Shape& shape, const std::vector<double>& values, DType dtype, Device device, const std::string& what) {
  const Tensor host = Tensor::empty(shape, dtype, Device::cpu), there = Tensor::empty(shape, dtype, device, what);
  backend(Device::cpu).cast(Tensor::of(shape, values), host);
  backend(device).upload(host.raw(), there);
  return there;
}

}  // namespace dura
