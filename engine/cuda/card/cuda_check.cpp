#include "engine/cuda/card/cuda_check.h"

#include "engine/comm/mpi.h"
#include "engine/core/memory.h"
#include "engine/cuda/driver.h"

namespace dura::cuda {
namespace {

// After these every later call fails too, whatever it asks for: a kernel has broken the process' hold of the card.
bool is_sticky(cudaError_t error) {
  for (const cudaError_t e : {cudaErrorIllegalAddress, cudaErrorLaunchFailure, cudaErrorMisalignedAddress, cudaErrorIllegalInstruction,
                              cudaErrorInvalidAddressSpace, cudaErrorInvalidPc, cudaErrorHardwareStackError, cudaErrorAssert,
                              cudaErrorLaunchTimeout, cudaErrorECCUncorrectable})
    if (error == e) return true;
  return false;
}

}  // namespace

const char* queued_last = "nothing";

void check(cudaError_t error, const std::string& what) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // errors that are not sticky are over with this report
  std::string message = concat(what, ": ", cudaGetErrorString(error));
  if (is_sticky(error))
    message += concat(". Earlier work failed, perhaps what was queued last: ", queued_last, ". Run it again with CUDA_LAUNCH_BLOCKING=1");
  if (error == cudaErrorMemoryAllocation) throw OutOfMemory("out of memory: " + message);
  throw DriverError(static_cast<Status>(error), message);
}

int card_number() {
  static const int number = [] {
    int count = 0;
    if (cudaGetDeviceCount(&count) != cudaSuccess || count < 1) return 0;
    return static_cast<int>(rank_on_machine() % count);
  }();
  return number;
}

void use_card() { check(cudaSetDevice(card_number()), concat("CUDA, choosing card ", card_number())); }

void check_alive(const std::string& before) {
  cudaError_t error = cudaPeekAtLastError();
  if (!is_sticky(error)) error = cudaStreamQuery(nullptr);
  if (is_sticky(error)) check(error, "CUDA, " + before);
}

}  // namespace dura::cuda
