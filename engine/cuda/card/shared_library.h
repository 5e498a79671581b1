// A shared library opened when it is first needed. The programs are not linked with cuDNN and cuBLAS: the same program starts on a machine
// that has neither, and says there what it misses.
#pragma once
#include <string>
#include <vector>

#include "engine/base/check.h"

namespace dura::cuda {

// Where CUDA's libraries are looked for. Where the environment variable DURA_CUDA_LIBRARIES is set, only in its folders (separated by ':').
// Otherwise wherever the loader looks (LD_LIBRARY_PATH, the system's folders), then in the folders that were found while building.
inline constexpr const char* library_folders_variable = "DURA_CUDA_LIBRARIES";

class SharedLibrary {
 public:
  // `name` as in "libcudnn.so.9"; throws Error with every place that was tried. Never closed: CUDA's libraries do not survive that.
  SharedLibrary(const std::string& name, const std::vector<std::string>& build_folders);

  // The file that was opened, where the loader tells.
  const std::string& path() const { return path_; }

  // The function of this name; throws Error where the library lacks it.
  template <class Function>
  Function* function(const char* name) const {
    return reinterpret_cast<Function*>(address(name));
  }

 private:
  void* address(const char* name) const;

  void* handle_ = nullptr;
  std::string path_;
};

// "" where `open` does; else what its Error says.
template <class Open>
std::string why_not(Open&& open) {
  try {
    open();
    return "";
  } catch (const Error& e) {
    return e.what();
  }
}

// Declares a member that is the function `name` of the library `file`, a SharedLibrary that is declared above it.
#define DURA_LIBRARY_FUNCTION(member, name) decltype(::name)* member = file.function<decltype(::name)>(#name)

// The folders in `list`, separated by ':'; empty ones are left out.
std::vector<std::string> split_folders(const std::string& list);

}  // namespace dura::cuda
