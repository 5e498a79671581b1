#include "engine/cuda/driver.h"

namespace dura::cuda {

const char* status_name(Status status) {
  static constexpr struct {
    Status status;
    const char* name;
  } names[] = {
      {Status::invalid_value, "cudaErrorInvalidValue"},
      {Status::memory_allocation, "cudaErrorMemoryAllocation"},
      {Status::illegal_address, "cudaErrorIllegalAddress"},
      {Status::misaligned_address, "cudaErrorMisalignedAddress"},
      {Status::launch_failure, "cudaErrorLaunchFailure"},
      {Status::capture_unsupported, "cudaErrorStreamCaptureUnsupported"},
      {Status::capture_invalidated, "cudaErrorStreamCaptureInvalidated"},
      {Status::capture_unmatched, "cudaErrorStreamCaptureUnmatched"},
      {Status::capture_unjoined, "cudaErrorStreamCaptureUnjoined"},
      {Status::capture_isolation, "cudaErrorStreamCaptureIsolation"},
      {Status::capture_implicit, "cudaErrorStreamCaptureImplicit"},
      {Status::captured_event, "cudaErrorCapturedEvent"},
  };
  for (const auto& n : names)
    if (n.status == status) return n.name;
  return "an error without a name";
}

}  // namespace dura::cuda
