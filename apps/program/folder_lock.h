// A folder that one process works in. The lock is the system's, on the folder itself: nothing is written for it, and it ends with the
// process, so that a killed run never stands in the way of the next.
#pragma once
#include <sys/types.h>

#include <filesystem>
#include <istream>
#include <string>

namespace dura {

class FolderLock {
 public:
  FolderLock() = default;
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

  // Takes the lock of the folder, which must exist, until this is destroyed. Empty where it is ours now; else who has it: "process 4711".
  // On a file system without locks every folder is free, and the log says so. Error where the folder cannot be opened.
  std::string take(const std::filesystem::path& folder);

 private:
  int descriptor_ = -1;
};

// The process that holds the lock of the file with this inode on this device, of the system's list of locks (/proc/locks): "1: FLOCK
// ADVISORY  WRITE 4711 fe:00:1234 0 EOF", device in hexadecimal. Two devices may have the same inode. On file systems that give a
// folder another device than the list does (btrfs), the one lock of that inode; empty where the list does not tell, as between containers.
std::string lock_holder(std::istream& locks, dev_t device, ino_t inode);

}  // namespace dura
