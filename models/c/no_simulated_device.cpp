// In place of engine/devices/simulated_device.cpp.
#include "engine/devices/simulated_device.h"

namespace dura::cuda {

const SimulatedDevice* simulated_device() { return nullptr; }

}  // namespace dura::cuda
