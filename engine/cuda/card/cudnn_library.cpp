#include "engine/cuda/card/cudnn_library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>

#include "engine/core/memory.h"

namespace dura::cuda {
namespace {

// cuDNN compiles some of its engines with NVRTC, and NVRTC looks for libnvrtc-builtins on the loader's path alone, not beside itself: in
// the layout of Python's packages it finds none, and BatchNorm's graphs have no engine. Once opened under its name it is found everywhere.
void open_compiler_builtins(const std::filesystem::path& cudnn_folder) {
  namespace fs = std::filesystem;
  std::vector<fs::path> folders = {cudnn_folder, cudnn_folder / "../../cuda_nvrtc/lib",
                                   cudnn_folder / concat("../../cu", DURA_CUDA_MAJOR, "/lib")};
  if (const char* named = std::getenv(library_folders_variable))
    for (const std::string& folder : split_folders(named)) folders.push_back(folder);
  for (const std::string& folder : split_folders(DURA_CUBLAS_FOLDERS)) folders.push_back(folder);
  for (const fs::path& folder : folders) {
    std::error_code error;
    for (const fs::directory_entry& file : fs::directory_iterator(folder, error))
      if (file.path().filename().string().rfind("libnvrtc-builtins.so.", 0) == 0 && dlopen(file.path().c_str(), RTLD_NOW | RTLD_LOCAL))
        return;
  }
}

}  // namespace

CudnnLibrary::CudnnLibrary() : file("libcudnn.so.9", split_folders(DURA_CUDNN_FOLDERS)) {
  // The numbers of attributes are those of the headers; a minor version more or less only knows more or fewer of them.
  DURA_CHECK(version() / 10000 == CUDNN_MAJOR, file.path(), " is cuDNN ", version(), ", dura was built for ", CUDNN_MAJOR, ".", CUDNN_MINOR,
             ". Install a cuDNN ", CUDNN_MAJOR, " or build dura again.");
  open_compiler_builtins(std::filesystem::path(file.path()).parent_path());
}

const CudnnLibrary& cudnn() {
  static const CudnnLibrary library;
  return library;
}

void check_cudnn(cudnnStatus_t status, const std::string& what) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  char detail[1024] = "";
  cudnn().get_last_error_string(detail, sizeof(detail));
  const std::string message = concat(what, ": ", cudnn().get_error_string(status), " (", static_cast<int>(status), ") ", detail);
  if (status == CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED || status == CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED)
    throw OutOfMemory("out of memory: " + message);
  throw CudnnError(status, message);
}

}  // namespace dura::cuda
