#include "engine/cuda/card/shared_library.h"

#include <dlfcn.h>
#include <link.h>

#include <cstdlib>

namespace dura::cuda {

std::vector<std::string> split_folders(const std::string& list) {
  std::vector<std::string> folders;
  for (size_t begin = 0; begin <= list.size();) {
    const size_t end = std::min(list.find(':', begin), list.size());
    if (end > begin) folders.push_back(list.substr(begin, end - begin));
    begin = end + 1;
  }
  return folders;
}

SharedLibrary::SharedLibrary(const std::string& name, const std::vector<std::string>& build_folders) {
  std::vector<std::string> candidates;
  const char* only = std::getenv(library_folders_variable);
  if (!only) candidates.push_back(name);
  for (const std::string& folder : only ? split_folders(only) : build_folders) candidates.push_back(folder + "/" + name);
  std::string tried;
  for (const std::string& candidate : candidates) {
    handle_ = dlopen(candidate.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle_) break;
    tried += concat(tried.empty() ? "" : "; ", dlerror());
  }
  DURA_CHECK(handle_, name, " could not be opened: ", tried.empty() ? concat(library_folders_variable, " names no folder") : tried,
             ". Install it, or name its folder in LD_LIBRARY_PATH or ", library_folders_variable, ".");
  link_map* map = nullptr;
  path_ = dlinfo(handle_, RTLD_DI_LINKMAP, &map) == 0 && map ? map->l_name : name;
}

void* SharedLibrary::address(const char* name) const {
  void* found = dlsym(handle_, name);
  DURA_CHECK(found, path_, " has no function ", name, ": it is too old. README.md says which versions of CUDA and cuDNN dura needs.");
  return found;
}

}  // namespace dura::cuda
