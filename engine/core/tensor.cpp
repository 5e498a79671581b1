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

}  // namespace dura
