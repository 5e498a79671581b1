// Where a tensor lives. `meta` has shapes but no bytes; `cuda_sim` is the CUDA backend run on the CPU.
#pragma once
#include <cstdint>
#include <string>

#include "engine/base/check.h"

namespace dura {

enum class Device : uint8_t { cpu, meta, cuda, cuda_sim };

inline const char* device_name(Device d) {
  switch (d) {
    case Device::cpu:
      return "cpu";
    case Device::meta:
      return "meta";
    case Device::cuda:
      return "cuda";
    case Device::cuda_sim:
      return "cuda-sim";
  }
  fail("device_name: no such device");
}

// True where a host pointer may read the bytes.
inline bool host_readable(Device d) { return d == Device::cpu; }

}  // namespace dura
