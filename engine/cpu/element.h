// How a stored element becomes a number to compute with, and back. The [stat] type of kernels.inc is the compute type.
#pragma once
#include <type_traits>

#include "engine/core/formula.h"
#include "engine/core/tensor.h"
#include "engine/cpu/simd_kernels.h"

namespace dura::cpu {

template <class T>
struct Element;
template <>
struct Element<float> {
  using Compute = float;
  static float load(float v) { return v; }
  static float store(float v) { return v; }
};
template <>
struct Element<double> {
  using Compute = double;
  static double load(double v) { return v; }
  static double store(double v) { return v; }
};
template <>
struct Element<f16> {
  using Compute = float;
  static float load(f16 v) { return formula::from_f16(v); }
  static f16 store(float v) { return formula::to_f16(v); }
};
template <>
struct Element<bf16> {
  using Compute = float;
  static float load(bf16 v) { return formula::from_bf16(v); }
  static bf16 store(float v) { return formula::to_bf16(v); }
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
  return dtype == DType::f64 ? stored_f64 : dtype == DType::bf16 ? stored_bf16 : dtype == DType::f16 ? stored_f16 : stored_f32;
}

// Writes or adds, as a GradTarget says.
template <class T>
void put(T* y, int64_t i, typename Element<T>::Compute value, bool accumulate) {
  y[i] = Element<T>::store(accumulate ? Element<T>::load(y[i]) + value : value);
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
