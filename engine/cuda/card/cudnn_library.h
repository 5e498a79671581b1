// The functions of cuDNN that dura calls, found in libcudnn.so.9 when first needed, and the descriptors that they take. Only files of this
// folder include this header.
#pragma once
#include <cudnn_graph.h>

#include <string>
#include <utility>
#include <vector>

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

// Throws CudnnError with cuDNN's own words unless the status is success, OutOfMemory where memory was full.
void check_cudnn(cudnnStatus_t status, const std::string& what);

// Binding to a handle is marked as deprecated in favour of device properties, but it is what every cuDNN 9 knows; so the names are not
// used.
inline constexpr auto attribute_operation_graph_handle = static_cast<cudnnBackendAttributeName_t>(800);
inline constexpr auto attribute_plan_handle = static_cast<cudnnBackendAttributeName_t>(400);

// One descriptor of cuDNN's backend API: attributes go in, finalize() checks them, after that it can be read and used. Destroyed with its
// owner.
class CudnnDescriptor {
 public:
  CudnnDescriptor(cudnnBackendDescriptorType_t type, const char* name) : name_(name) {
    check_cudnn(cudnn().create_descriptor(type, &raw_), concat("cuDNN, new ", name));
  }
  ~CudnnDescriptor() {
    if (raw_) cudnn().destroy_descriptor(raw_);
  }
  CudnnDescriptor(CudnnDescriptor&& other) noexcept : raw_(std::exchange(other.raw_, nullptr)), name_(other.name_) {}
  CudnnDescriptor& operator=(CudnnDescriptor&&) = delete;

  cudnnBackendDescriptor_t raw() const { return raw_; }

  void set(cudnnBackendAttributeName_t attribute, cudnnBackendAttributeType_t type, int64_t count, const void* values) {
    check_cudnn(cudnn().set_attribute(raw_, attribute, type, count, values), concat("cuDNN, ", name_, ", attribute ", int(attribute)));
  }
  template <class T>
  void set(cudnnBackendAttributeName_t attribute, cudnnBackendAttributeType_t type, const T& value) {
    set(attribute, type, 1, &value);
  }
  void set(cudnnBackendAttributeName_t attribute, const std::vector<int64_t>& values) {
    set(attribute, CUDNN_TYPE_INT64, static_cast<int64_t>(values.size()), values.data());
  }
  void set(cudnnBackendAttributeName_t attribute, const CudnnDescriptor& other) {
    set(attribute, CUDNN_TYPE_BACKEND_DESCRIPTOR, other.raw_);
  }

  // How many values the attribute has.
  int64_t count(cudnnBackendAttributeName_t attribute, cudnnBackendAttributeType_t type) const {
    int64_t n = 0;
    check_cudnn(cudnn().get_attribute(raw_, attribute, type, 0, &n, nullptr),
                concat("cuDNN, ", name_, ", count of attribute ", int(attribute)));
    return n;
  }
  // Reads at most `capacity` values; returns how many there were.
  int64_t get(cudnnBackendAttributeName_t attribute, cudnnBackendAttributeType_t type, int64_t capacity, void* values) const {
    int64_t n = 0;
    check_cudnn(cudnn().get_attribute(raw_, attribute, type, capacity, &n, values),
                concat("cuDNN, ", name_, ", attribute ", int(attribute)));
    return n;
  }
  int64_t get_int64(cudnnBackendAttributeName_t attribute) const {
    int64_t value = 0;
    get(attribute, CUDNN_TYPE_INT64, 1, &value);
    return value;
  }

  void finalize() { check_cudnn(cudnn().finalize(raw_), concat("cuDNN, ", name_)); }

 private:
  cudnnBackendDescriptor_t raw_ = nullptr;
  const char* name_;
};

}  // namespace dura::cuda
