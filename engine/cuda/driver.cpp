#include "engine/cuda/driver.h"

namespace dura::cuda {

const char* status_name(Status status) {
  switch (status) {
    case Status::invalid_value:
      return "cudaErrorInvalidValue";
    case Status::memory_allocation:
      return "cudaErrorMemoryAllocation";
    case Status::illegal_address:
      return "cudaErrorIllegalAddress";
    case Status::misaligned_address:
      return "cudaErrorMisalignedAddress";
    case Status::launch_failure:
      return "cudaErrorLaunchFailure";
    case Status::capture_unsupported:
      return "cudaErrorStreamCaptureUnsupported";
    case Status::capture_invalidated:
      return "cudaErrorStreamCaptureInvalidated";
    case Status::capture_unmatched:
      return "cudaErrorStreamCaptureUnmatched";
    case Status::capture_unjoined:
      return "cudaErrorStreamCaptureUnjoined";
    case Status::capture_isolation:
      return "cudaErrorStreamCaptureIsolation";
    case Status::capture_implicit:
      return "cudaErrorStreamCaptureImplicit";
    case Status::captured_event:
      return "cudaErrorCapturedEvent";
  }
  return "an error without a name";
}

}  // namespace dura::cuda
