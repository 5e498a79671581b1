// Element types. f16 and bf16 are storage types: arithmetic on the CPU is done in f32 (see formula.h for the conversions).
#pragma once
#include <cstddef>
#include <cstdint>

#include "engine/base/check.h"

namespace dura {

enum class DType : uint8_t { f32, f64, f16, bf16, i32, u8 };

struct f16 {
  uint16_t bits;
};  // IEEE 754 binary16
struct bf16 {
  uint16_t bits;
};  // the upper half of an IEEE 754 binary32

// Calls f with a value of the element type: the one place that goes from a DType to a C++ type.
template <class F>
decltype(auto) with_type(DType t, F&& f) {
  switch (t) {
    case DType::f32:
      return f(float{});
    case DType::f64:
      return f(double{});
    case DType::f16:
      return f(f16{});
    case DType::bf16:
      return f(bf16{});
    case DType::i32:
      return f(int32_t{});
    case DType::u8:
      return f(uint8_t{});
  }
  fail("with_type: no such type");
}

inline size_t dtype_size(DType t) {
  return with_type(t, []<class T>(T) { return sizeof(T); });
}

inline const char* dtype_name(DType t) {
  switch (t) {
    case DType::f32:
      return "f32";
    case DType::f64:
      return "f64";
    case DType::f16:
      return "f16";
    case DType::bf16:
      return "bf16";
    case DType::i32:
      return "i32";
    case DType::u8:
      return "u8";
  }
  fail("dtype_name: no such type");
}

constexpr bool is_floating(DType t) { return t != DType::i32 && t != DType::u8; }

// The way back; compiles for element types only.
constexpr DType dtype_of(float) { return DType::f32; }
constexpr DType dtype_of(double) { return DType::f64; }
constexpr DType dtype_of(f16) { return DType::f16; }
constexpr DType dtype_of(bf16) { return DType::bf16; }
constexpr DType dtype_of(int32_t) { return DType::i32; }
constexpr DType dtype_of(uint8_t) { return DType::u8; }
template <class T>
constexpr bool is_floating_type = is_floating(dtype_of(T{}));

// Names as in configuration files: "f32", "f16", ... Throws UsageError for anything else.
inline DType parse_dtype(const char* name) {
  for (DType t : {DType::f32, DType::f64, DType::f16, DType::bf16, DType::i32, DType::u8}) {
    const char* a = dtype_name(t);
    const char* b = name;
    while (*a && *a == *b) ++a, ++b;
    if (*a == *b) return t;
  }
  fail_usage("unknown element type '", name, "'. Use one of f32, f64, f16, bf16, i32, u8.");
}

}  // namespace dura
