// A dense, contiguous, reference-counted array of at most four dimensions. No strides, no gradient (a Var has one).
// Copying a Tensor shares its bytes. Images are (N,H,W,C) and filters (K,R,S,C) everywhere.
#pragma once
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "engine/core/device.h"
#include "engine/core/dtype.h"
#include "engine/core/memory.h"
#include "engine/core/shape.h"

namespace dura {

class Tensor {
 public:
  Tensor() = default;  // undefined: no bytes, defined() is false

  // Uninitialised. `what` names the tensor in memory errors and plans.
  static Tensor empty(const Shape& shape, DType dtype, Device device, const std::string& what = "tensor");
  static Tensor zeros(const Shape& shape, DType dtype, Device device, const std::string& what = "tensor");
  // Of the same shape, type and device as another; uninitialised.
  static Tensor like(const Tensor& x, const std::string& what) { return empty(x.shape(), x.dtype(), x.device(), what); }
  // A CPU tensor with these values, for tests and small tables. The count must match the shape.
  template <class T>
  static Tensor of(const Shape& shape, const std::vector<T>& values) {
    DURA_CHECK(static_cast<int64_t>(values.size()) == shape.numel(), "Tensor::of: ", values.size(), " values for shape ", shape);
    Tensor t = empty(shape, dtype_of(T{}), Device::cpu);
    std::copy(values.begin(), values.end(), t.data<T>());
    return t;
  }

  bool defined() const { return buffer_ != nullptr; }
  const Shape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }
  Device device() const { return device_; }
  int64_t numel() const { return shape_.numel(); }
  size_t bytes() const { return static_cast<size_t>(numel()) * dtype_size(dtype_); }

  // Host pointer to the elements; the tensor must be on the CPU and of this type.
  template <class T>
  T* data() const {
    DURA_CHECK(defined(), "the data of an undefined tensor was asked for");
    DURA_CHECK(host_readable(device_), "a ", device_name(device_), " tensor of shape ", shape_,
               " was read from the host. Backend::download copies it.");
    DURA_CHECK(dtype_of(T{}) == dtype_, "a ", dtype_name(dtype_), " tensor of shape ", shape_, " was read as ", dtype_name(dtype_of(T{})));
    return static_cast<T*>(raw());
  }
  // The address on its device, for backends.
  void* raw() const { return buffer_->data() ? static_cast<char*>(buffer_->data()) + offset_ : nullptr; }

  // The same bytes in another shape of the same element count.
  Tensor view(const Shape& shape) const;
  // `shape` elements beginning at element `first`: how parameters lie in their arena. Not for activations.
  Tensor slice(int64_t first, const Shape& shape) const;
  // True when no other Tensor shares the bytes: then, and only then, they may be changed in place.
  bool sole_owner() const { return buffer_.use_count() == 1; }
  bool same_bytes(const Tensor& other) const { return buffer_ == other.buffer_ && offset_ == other.offset_; }

 private:
  std::shared_ptr<Buffer> buffer_;
  size_t offset_ = 0;  // bytes
  Shape shape_;
  DType dtype_ = DType::f32;
  Device device_ = Device::cpu;
};

std::string describe(const Tensor& t);  // "f32 (16,56,56,64) on cpu"

// Between the host and tensors on any device.
// A tensor of its own on the CPU with the same bytes.
Tensor host_copy(const Tensor& t, const std::string& what = "tensor");

// The values of a tensor of any floating dtype.
std::vector<double> download_as_double(const Tensor& t);
// A new tensor of any floating dtype; values are rounded to it.
Tensor upload_from_double(const Shape& shape, const std::vector<double>& values, DType dtype, Device device,
                          const std::string& what = "tensor");

}  // namespace dura
