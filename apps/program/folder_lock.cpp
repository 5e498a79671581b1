#include "apps/program/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <sstream>
#include <system_error>

#include "engine/base/check.h"
#include "engine/base/log.h"

namespace dura {

namespace {

// The system's list of locks names the holder of each by device and inode: "1: FLOCK  ADVISORY  WRITE 4711 fe:00:1234 0 EOF". Empty where
// it does not tell, as between containers.
std::string holder_of(int descriptor) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) return "";
  const std::string inode = ":" + std::to_string(status.st_ino);
  std::ifstream locks("/proc/locks");
  for (std::string line; std::getline(locks, line);) {
    std::istringstream fields(line);
    std::string number, kind, advisory, access, process, file;
    if (fields >> number >> kind >> advisory >> access >> process >> file && kind == "FLOCK" && file.ends_with(inode) && process != "0")
      return process;
  }
  return "";
}

}  // namespace

FolderLock::~FolderLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

std::string FolderLock::take(const std::filesystem::path& folder) {
  DURA_CHECK(descriptor_ < 0, folder.string(), ": the lock of another folder is held already");
  // Closed when another program is started: the lock is not to outlive this process in one of its children.
  descriptor_ = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const auto reason = [](int error) { return std::generic_category().message(error); };
  if (descriptor_ < 0) fail(folder.string(), ": the folder cannot be opened: ", reason(errno), ". Choose another.");
  int error = 0;
  while (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && (error = errno) == EINTR) error = 0;
  if (error == 0) return "";
  std::string holder;
  if (error == EWOULDBLOCK) {
    const std::string process = holder_of(descriptor_);
    holder = process.empty() ? "another process" : "process " + process;
  } else {
    log_warning(folder.string(), ": cannot be locked here (", reason(error), "); another process in it would go unnoticed");
  }
  ::close(descriptor_);
  descriptor_ = -1;
  return holder;
}

}  // namespace dura
