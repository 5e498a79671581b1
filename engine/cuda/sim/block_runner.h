// Runs the blocks of one kernel on the CPU. Threads of a kernel without barriers are turns of a loop; threads of a kernel with barriers are
// fibers that switch at barriers and shuffles, in an order that a seed picks. Blocks are shared among the threads of parallel_for. So a
// kernel that forgets a barrier, or whose blocks or threads wait for each other's writes, gives a wrong result on some seed.
#pragma once
#include <cstdint>

#include "engine/cuda/driver.h"

namespace dura::cuda::sim {

// Throws an Error with the kernel's name where the barriers of a block do not fit together.
void run_blocks(const KernelLaunch& kernel, uint64_t seed);

}  // namespace dura::cuda::sim
