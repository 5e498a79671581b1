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

inline size_t dtype_size(DType t) {
  switch (t) {
    case DType::f64:
      return 8;
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::f16:
    case DType::bf16:
      return 2;
    case DType::u8:
      return 1;
  }
  fail("dtype_size: no such type");
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

inline bool is_floating(DType t) { return t != DType::i32 && t != DType::u8; }

template <class T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::f32;
};
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::f64;
};
template <>
struct DTypeOf<f16> {
  static constexpr DType value = DType::f16;
};
template <>
struct DTypeOf<bf16> {
  static constexpr DType value = DType::bf16;
};
template <>
struct DTypeOf<int32_t> {
  static constexpr DType value = DType::i32;
};
template <>
struct DTypeOf<uint8_t> {
  static constexpr DType value = DType::u8;
};

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
