// What the programs' --precision stands for.
#pragma once
#include <string>

#include "engine/core/backend.h"
#include "layers/module.h"

namespace dura {

// f32, f16, bf16; tf32 is f32 of which a card may round the factors of products (the CPU does not).
inline TensorOptions tensors_of_precision(const std::string& precision, Device device) {
  if (precision == "tf32") device_backend(device).allow_tf32(true);
  return {.compute = precision == "tf32" ? DType::f32 : parse_dtype(precision.c_str()), .device = device};
}

}  // namespace dura
