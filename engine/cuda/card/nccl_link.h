// Cards of several processes, linked by NCCL. libnccl.so.2 is opened when processes first want a link, as cuDNN is (shared_library.h).
#pragma once
#include <cuda_runtime_api.h>

#include <functional>
#include <memory>

#include "engine/cuda/driver.h"

namespace dura::cuda {

// See Driver::link. `streams` gives CUDA's stream for a number. Null, with the reason in the log of rank 0, where NCCL is missing for one
// of the ranks, where two have the same card, or where NCCL does not start.
std::unique_ptr<DeviceLink> nccl_link(Communicator& ranks, std::function<cudaStream_t(Stream)> streams);

}  // namespace dura::cuda
