// The functions of cuDNN that dura calls, found in libcudnn.so.9 when first needed. Only files of this folder include this header.
#pragma once
#include <cudnn_graph.h>

#include <string>

#include "engine/base/check.h"
#include "engine/cuda/card/shared_library.h"

namespace dura::cuda {

struct CudnnLibrary {
  CudnnLibrary();
  SharedLibrary file;
  DURA_LIBRARY_FUNCTION(version, cudnnGetVersion);  // 91900 is 9.19.0
  DURA_LIBRARY_FUNCTION(get_error_string, cudnnGetErrorString);
  DURA_LIBRARY_FUNCTION(get_last_error_string, cudnnGetLastErrorString);
  DURA_LIBRARY_FUNCTION(create, cudnnCreate);
  DURA_LIBRARY_FUNCTION(destroy, cudnnDestroy);
  DURA_LIBRARY_FUNCTION(set_stream, cudnnSetStream);
  DURA_LIBRARY_FUNCTION(create_descriptor, cudnnBackendCreateDescriptor);
  DURA_LIBRARY_FUNCTION(destroy_descriptor, cudnnBackendDestroyDescriptor);
  DURA_LIBRARY_FUNCTION(finalize, cudnnBackendFinalize);
  DURA_LIBRARY_FUNCTION(set_attribute, cudnnBackendSetAttribute);
  DURA_LIBRARY_FUNCTION(get_attribute, cudnnBackendGetAttribute);
  DURA_LIBRARY_FUNCTION(execute, cudnnBackendExecute);
};

// Opened by the first call; throws Error where it is missing or of another major version than the headers.
const CudnnLibrary& cudnn();

// A call of cuDNN that failed. The status tells what kind of failure: a whole class of them means "this engine cannot do that".
class CudnnError : public Error {
 public:
  CudnnError(cudnnStatus_t status, const std::string& message) : Error(message), status_(status) {}
  cudnnStatus_t status() const { return status_; }

 private:
  cudnnStatus_t status_;
};

// Throws CudnnError with cuDNN's own words unless the status is success.
void check_cudnn(cudnnStatus_t status, const std::string& what);

}  // namespace dura::cuda
