// The functions of cuDNN that dura calls, found in libcudnn.so.9 when first needed. Only files of this folder include this header.
#pragma once
#include <cudnn_graph.h>

#include <string>

#include "engine/base/check.h"

namespace dura::cuda {

struct CudnnLibrary {
  std::string path;
  size_t version = 0;  // 91900 is 9.19.0
  decltype(::cudnnGetErrorString)* get_error_string = nullptr;
  decltype(::cudnnGetLastErrorString)* get_last_error_string = nullptr;
  decltype(::cudnnCreate)* create = nullptr;
  decltype(::cudnnDestroy)* destroy = nullptr;
  decltype(::cudnnSetStream)* set_stream = nullptr;
  decltype(::cudnnBackendCreateDescriptor)* create_descriptor = nullptr;
  decltype(::cudnnBackendDestroyDescriptor)* destroy_descriptor = nullptr;
  decltype(::cudnnBackendFinalize)* finalize = nullptr;
  decltype(::cudnnBackendSetAttribute)* set_attribute = nullptr;
  decltype(::cudnnBackendGetAttribute)* get_attribute = nullptr;
  decltype(::cudnnBackendExecute)* execute = nullptr;
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
