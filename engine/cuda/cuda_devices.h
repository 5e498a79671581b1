// All that the rest of the engine sees of this folder: the backend and the memory of the CUDA devices of this build.
#pragma once
#include <memory>
#include <string>

#include "engine/backend.h"

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
std::shared_ptr<MemorySource> memory_of(Device device);
BlockWatcher* watcher_of(Device device);
size_t memory_bytes_of(Device device);  // that this process can have
void allow_tf32_on(Device device, bool allowed);

}  // namespace dura::cuda
