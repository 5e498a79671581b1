#include "apps/program/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <sstream>
#include <system_error>
#include <vector>

#include "apps/program/text_table.h"
#include "engine/base/check.h"
#include "engine/base/log.h"

namespace dura {

std::string lock_holder(std::istream& locks, dev_t device, ino_t inode) {
  const std::string of_inode = ":" + std::to_string(inode), wanted = printed("%02x:%02x", major(device), minor(device)) + of_inode;
  std::vector<std::string> others;  // of the same inode on what the list calls another device, as it does on btrfs
  for (std::string line; std::getline(locks, line);) {
    std::istringstream fields(line);
    std::string number, kind, advisory, access, process, file;
    if (!(fields >> number >> kind >> advisory >> access >> process >> file) || kind != "FLOCK" || process == "0") continue;
    if (file == wanted) return process;
    if (file.ends_with(of_inode)) others.push_back(process);
  }
  return others.size() == 1 ? others[0] : "";
}

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
    struct stat status {};
    std::ifstream locks("/proc/locks");
    const std::string process = ::fstat(descriptor_, &status) == 0 ? lock_holder(locks, status.st_dev, status.st_ino) : "";
    holder = process.empty() ? "another process" : "process " + process;
  } else {
    log_warning(folder.string(), ": cannot be locked here (", reason(error), "); another process in it would go unnoticed");
  }
  ::close(descriptor_);
  descriptor_ = -1;
  return holder;
}

}  // namespace dura
