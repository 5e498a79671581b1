// The simulated CUDA device as cuda_devices.cpp takes it: the one way to the simulator and to the kernels that the C++ compiler made for
// it. libdura has none: its programs have no use for a slow card, and models/c/no_simulated_device.cpp, linked in place of
// simulated_device.cpp, leaves out what only the simulated device needs.
#pragma once
#include <memory>

#include "engine/core/backend.h"

namespace dura::cuda {

class Driver;
struct Stream;

struct SimulatedDevice {
  Driver& (*driver)();
  std::unique_ptr<Backend> (*make_backend)(Driver& driver, Stream stream, std::shared_ptr<MemorySource> memory);
};

// nullptr where it is not linked in.
const SimulatedDevice* simulated_device();

}  // namespace dura::cuda
