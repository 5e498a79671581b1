#include "engine/core/tensor.h"

#include "engine/core/backend.h"

namespace dura {

Tensor Tensor::empty(const Shape& shape, DType dtype, Device device, const std::string& what) {
  Tensor t;
  t.shape_ = shape;
  t.dtype_ = dtype;
  t.device_ = device;
  t.buffer_ = std::make_shared<Buffer>(current_memory(device), t.bytes(), what);
  return t;
}

Tensor Tensor::zeros(const Shape& shape, DType dtype, Device device, const std::string& what) {
  Tensor t = empty(shape, dtype, device, what);
  backend(device).fill(t, 0.0);
  return t;
}

Tensor Tensor::view(const Shape& shape) const {
  DURA_CHECK(shape.numel() == numel(), "view: ", shape_, " has ", numel(), " elements, ", shape, " has ", shape.numel());
  Tensor t = *this;
  t.shape_ = shape;
  return t;
}

Tensor Tensor::slice(int64_t first, const Shape& shape) const {
  DURA_CHECK(first >= 0 && first + shape.numel() <= numel(), "slice: elements ", first, " to ", first + shape.numel(), " of a tensor with ",
             numel());
  Tensor t = *this;
  t.offset_ += static_cast<size_t>(first) * dtype_size(dtype_);
  t.shape_ = shape;
  return t;
}

std::string describe(const Tensor& t) {
  return t.defined() ? concat(dtype_name(t.dtype()), " ", t.shape(), " on ", device_name(t.device())) : "undefined tensor";
}

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
