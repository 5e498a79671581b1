// How a stored element becomes a number to compute with, and back. The [stat] type of kernels.inc is the compute type.
#pragma once
#include <type_traits>

#include "engine/core/formula.h"
#include "engine/core/tensor.h"
#include "engine/cpu/simd_kernels.h"

namespace dura::cpu {

template <class T>
struct Element {
  using Compute = decltype(formula::loaded(T{}));
  static Compute load(T v) { return formula::loaded(v); }
  static T store(Compute v) { return formula::stored<T>(v); }
};

// Calls f with a value of the storage type.
template <class F>
void dispatch_floating(const char* kernel, DType dtype, F&& f) {
  with_type(dtype, [&]<class T>(T value) {
    if constexpr (is_floating_type<T>)
      f(value);
    else
      fail(kernel, ": ", dtype_name(dtype), " is not a floating type");
  });
}

// The name of a storage type in the inner kernels.
inline Stored stored_as(DType dtype) {
  DURA_CHECK(is_floating(dtype), dtype_name(dtype), " is not a floating type: the CPU's kernels do not compute with it");
  return dtype == DType::f64 ? stored_f64 : dtype == DType::bf16 ? stored_bf16 : dtype == DType::f16 ? stored_f16 : stored_f32;
}

// Writes or adds, as a GradTarget says.
template <class T>
void put(T* y, int64_t i, typename Element<T>::Compute value, bool accumulate) {
  y[i] = Element<T>::store(accumulate ? Element<T>::load(y[i]) + value : value);
}

// Is a convolution's output written past the caches, where the kernel set can? From a size on that a core's share of them cannot hold, as
// measured with whole networks: in bf16 the products are twice as fast and gain more from an output that is still there.
inline bool is_streamed(const Tensor& t) {
  constexpr int64_t line = 64;
  const size_t least = t.dtype() == DType::f32 ? size_t{4} << 20 : size_t{16} << 20;
  const int64_t row_bytes = t.shape()[t.shape().rank() - 1] * static_cast<int64_t>(dtype_size(t.dtype()));
  return t.bytes() >= least && row_bytes % line == 0 && reinterpret_cast<uintptr_t>(t.raw()) % line == 0;
}

template <class T>
T* data_or_null(const Tensor& t) {
  return t.defined() ? t.data<T>() : nullptr;
}

// Calls f with compile-time copies of the flags, so that an inner loop has no branch and the compiler can vectorise it.
template <class F>
void with_flags(F&& f) {
  f();
}
template <class F, class... Flags>
void with_flags(F&& f, bool first, Flags... rest) {
  if (first) {
    with_flags([&](auto... more) { f(std::true_type{}, more...); }, rest...);
  } else {
    with_flags([&](auto... more) { f(std::false_type{}, more...); }, rest...);
  }
}

constexpr int64_t grain = 1 << 15;  // elements of one task of an elementwise kernel: 128 KiB of f32, half of a small L2

}  // namespace dura::cpu
