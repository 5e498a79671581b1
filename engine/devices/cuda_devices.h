// The CUDA devices of this build: a card, and the simulated one.
#pragma once
#include <memory>
#include <string>

#include "engine/core/backend.h"

namespace dura::cuda {

class Driver;
struct Stream;

// Whether this build has the device at all.
bool in_this_build(Device device);
// "" where the device can be used; else what is missing, without a full stop.
std::string why_not(Device device);

// For Device::cuda and Device::cuda_sim; throw UsageError with why_not() where the device cannot be used.
Driver& driver_of(Device device);
Stream compute_stream(Device device);  // the one that the backend works on
Backend& backend_of(Device device);

}  // namespace dura::cuda
