// The CUDA device that tests of the backend run on: the simulated one, or a card where DURA_TEST_DEVICE=cuda asks for it, as
// tests/gpu/gpu_check.sh does. What belongs to the simulator alone names Device::cuda_sim itself.
#pragma once
#include <cstdlib>
#include <string>

#include "engine/base/check.h"
#include "engine/cuda/sim/sim_driver.h"
#include "engine/core/device.h"

namespace dura::test {

inline Device cuda_under_test() {
  static const Device device = [] {
    const char* asked = std::getenv("DURA_TEST_DEVICE");
    const std::string name = asked ? asked : "cuda-sim";
    if (name != "cuda" && name != "cuda-sim") fail_usage("DURA_TEST_DEVICE is ", name, "; it must be cuda or cuda-sim.");
    return name == "cuda" ? Device::cuda : Device::cuda_sim;
  }();
  return device;
}

// Another order of everything that has no order; a card takes its own.
inline void reorder_device(uint64_t seed) {
  if (cuda_under_test() == Device::cuda_sim) cuda::sim::sim_driver().set_seed(seed);
}

}  // namespace dura::test
