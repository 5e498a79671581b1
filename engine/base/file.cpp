#include "engine/base/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <new>
#include <system_error>

#include "engine/base/large_memory.h"
#include "engine/base/parallel.h"
#include "engine/base/text.h"

namespace dura {

namespace {

std::string system_reason(int error) { return std::generic_category().message(error); }

struct Advice {
  int error;
  const char* text;
};
constexpr Advice reading_advices[] = {{ENOENT, "Check the path."},
                                      {ENOTDIR, "A part of the path is a file, not a directory. Check the path."},
                                      {EACCES, "You may not read it: change its permissions or run as its owner."},
                                      {EPERM, "You may not read it: change its permissions or run as its owner."},
                                      {EMFILE, "Too many files are open: raise the limit (ulimit -n)."},
                                      {ENFILE, "Too many files are open: raise the limit (ulimit -n)."}};
constexpr Advice writing_advices[] = {
    {ENOENT, "Its directory does not exist: create it or choose another."},
    {ENOTDIR, "A part of the path is a file, not a directory. Choose another path."},
    {EISDIR, "A directory of this name is in the way. Choose another path."},
    {ENOTEMPTY, "A directory of this name is in the way. Choose another path."},
    {EEXIST, "A directory of this name is in the way. Choose another path."},
    {EACCES, "You may not write there: choose a directory that is yours."},
    {EPERM, "You may not write there: choose a directory that is yours."},
    {EROFS, "You may not write there: choose a directory that is yours."},
    {ENOSPC, "The disk is full: free some space or choose another directory."},
    {EDQUOT, "The disk is full: free some space or choose another directory."},
    {EFBIG, "The file may not grow further: raise the limit on file sizes (ulimit -f) or choose another file system."},
    {ENAMETOOLONG, "The name is too long: choose a shorter one."},
    {ELOOP, "A symbolic link is in the way of the temporary file: remove it."}};

const char* advice_for(int error, std::span<const Advice> advices, const char* otherwise) {
  for (const Advice& advice : advices)
    if (advice.error == error) return advice.text;
  return otherwise;
}
const char* reading_advice(int error) { return advice_for(error, reading_advices, "Copy the file again or check the disk."); }
const char* writing_advice(int error) { return advice_for(error, writing_advices, "Check the disk or choose another directory."); }

int open_retrying(const char* path, int flags, mode_t mode = 0) {
  int descriptor;
  do descriptor = ::open(path, flags, mode);
  while (descriptor < 0 && errno == EINTR);
  return descriptor;
}

// Some file systems cannot sync a directory and say EINVAL: there the rename is as durable as it gets.
int sync_directory(const std::filesystem::path& directory) {
  const int descriptor = open_retrying(directory.empty() ? "." : directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return errno == EACCES ? 0 : errno;  // a directory may be writable and yet not readable
  const int error = ::fsync(descriptor) == 0 || errno == EINVAL ? 0 : errno;
  ::close(descriptor);
  return error;
}

}  // namespace

InputFile::InputFile(const std::filesystem::path& path) : path_(path) {
  // O_NONBLOCK: opening a pipe without a writer would wait for ever. It has no effect on regular files.
  descriptor_ = open_retrying(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0) {
    const int error = errno;
    fail(path.string(), ": cannot be opened: ", system_reason(error), ". ", reading_advice(error));
  }
  struct stat status {};
  const bool known = ::fstat(descriptor_, &status) == 0;
  if (!known || !S_ISREG(status.st_mode)) {
    ::close(descriptor_);
    fail(path.string(), known && S_ISDIR(status.st_mode) ? ": is a directory" : ": is not a regular file",
         ", a file was expected. Check the path.");
  }
  size_ = static_cast<uint64_t>(status.st_size);
}

InputFile::~InputFile() { ::close(descriptor_); }

size_t InputFile::read(void* into, size_t bytes) {
  const size_t done = read_at(position_, into, bytes);
  position_ += done;
  return done;
}

size_t InputFile::read_at(uint64_t position, void* into, size_t bytes) const {
  size_t done = 0;
  while (done < bytes) {
    const ssize_t got = ::pread(descriptor_, static_cast<char*>(into) + done, bytes - done, static_cast<off_t>(position + done));
    if (got == 0) break;
    if (got < 0) {
      const int error = errno;
      if (error == EINTR) continue;
      fail(path_.string(), ": cannot be read: ", system_reason(error), ". ", reading_advice(error));
    }
    done += static_cast<size_t>(got);
  }
  return done;
}

namespace {

// allocate(bytes) gives the memory for the file's contents; read(file, memory, bytes) fills it and says how many bytes there were.
template <class Allocate, class Read>
void read_whole(const std::filesystem::path& path, uint64_t max_bytes, const Allocate& allocate, const Read& read) {
  const InputFile file(path);
  DURA_CHECK(file.size() <= max_bytes, path.string(), ": has ", file.size(), " bytes, at most ", max_bytes,
             " are accepted here. Is it the right file?");
  const auto size = static_cast<size_t>(file.size());
  uint8_t* contents = nullptr;
  try {
    contents = allocate(size);
  } catch (const std::bad_alloc&) {
    fail(path.string(), ": has ", file.size(), " bytes, more than there is free memory. Close other programs or use a smaller file.");
  }
  char beyond;
  DURA_CHECK(read(file, contents, size) == size && file.read_at(size, &beyond, 1) == 0, path.string(),
             ": changed while it was being read (", file.size(), " bytes when opened). Wait until its writer is done and try again.");
}

template <class Container>
Container read_into(const std::filesystem::path& path, uint64_t max_bytes) {
  Container contents;
  const auto allocate = [&](size_t bytes) {
    contents.resize(bytes);
    return reinterpret_cast<uint8_t*>(contents.data());
  };
  read_whole(path, max_bytes, allocate, [](const InputFile& file, uint8_t* to, size_t bytes) { return file.read_at(0, to, bytes); });
  return contents;
}

}  // namespace

std::vector<uint8_t> read_file(const std::filesystem::path& path, uint64_t max_bytes) {
  return read_into<std::vector<uint8_t>>(path, max_bytes);
}

std::string read_text_file(const std::filesystem::path& path, uint64_t max_bytes) { return read_into<std::string>(path, max_bytes); }

FileBytes read_file_bytes(const std::filesystem::path& path, uint64_t max_bytes) {
  FileBytes contents;
  const auto allocate = [&](size_t bytes) {
    void* const large = allocate_large(std::max<size_t>(bytes, 1), 64);
    if (!large) throw std::bad_alloc();
    const std::shared_ptr<uint8_t[]> memory(static_cast<uint8_t*>(large), [](uint8_t* p) { std::free(p); });
    contents = {memory, bytes};
    return memory.get();
  };
  read_whole(path, max_bytes, allocate, [](const InputFile& file, uint8_t* to, size_t bytes) {
    std::atomic<size_t> done{0};
    parallel_ranges(static_cast<int64_t>(bytes), int64_t{4} << 20, [&](int64_t begin, int64_t end) {
      done += file.read_at(static_cast<uint64_t>(begin), to + begin, static_cast<size_t>(end - begin));
    });
    return done.load();
  });
  return contents;
}

AtomicFile::AtomicFile(const std::filesystem::path& path) : path_(path), temporary_(path) {
  DURA_CHECK(path.has_filename(), "'", path.string(), "': is not the path of a file. Give a file name.");
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) fail_writing("written", EISDIR);
  temporary_ += ".tmp";
  open_temporary();
}

void AtomicFile::open_temporary() {
  // The lock tells a file that another process is writing from one that a killed process left behind. Between open and lock the other
  // process may have renamed the file into place: then the lock is on the finished file, and the temporary one is opened anew.
  for (;;) {
    descriptor_ = open_retrying(temporary_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (descriptor_ < 0) fail_writing("created", errno);
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
      ::close(descriptor_);
      descriptor_ = -1;
      fail(path_.string(), ": is being written by another process (", temporary_.string(),
           " is locked). Wait for it or choose another path.");
    }
    struct stat opened {
    }, named{};
    const bool current = ::fstat(descriptor_, &opened) == 0 && ::stat(temporary_.c_str(), &named) == 0 && opened.st_ino == named.st_ino &&
                         opened.st_dev == named.st_dev;
    if (current) break;
    ::close(descriptor_);
  }
  if (::ftruncate(descriptor_, 0) != 0) {
    const int error = errno;
    close_and_remove();
    fail_writing("created", error);
  }
}

AtomicFile::~AtomicFile() { close_and_remove(); }

void AtomicFile::close_and_remove() noexcept {
  if (descriptor_ < 0) return;
  ::unlink(temporary_.c_str());
  ::close(descriptor_);
  descriptor_ = -1;
}

void AtomicFile::fail_writing(const char* step, int error) const {
  fail(path_.string(), ": cannot be ", step, " (after ", written_, " bytes): ", system_reason(error), ". ", writing_advice(error));
}

void AtomicFile::write(std::span<const uint8_t> bytes) {
  DURA_CHECK(descriptor_ >= 0, path_.string(), ": was written to after commit()");
  while (!bytes.empty()) {
    const ssize_t put = ::write(descriptor_, bytes.data(), std::min<size_t>(bytes.size(), size_t{1} << 30));
    if (put < 0) {
      if (errno == EINTR) continue;
      fail_writing("written", errno);
    }
    written_ += static_cast<uint64_t>(put);
    bytes = bytes.subspan(static_cast<size_t>(put));
  }
}

void AtomicFile::write(std::string_view text) { write(bytes_of(text)); }

void AtomicFile::commit() {
  DURA_CHECK(descriptor_ >= 0, path_.string(), ": was committed twice");
  if (::fsync(descriptor_) != 0) fail_writing("written to the disk", errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail_writing("renamed into place", errno);
  const int descriptor = descriptor_;
  descriptor_ = -1;  // from here on there is no temporary file to remove
  if (::close(descriptor) != 0 && errno != EINTR) fail_writing("closed", errno);
  if (const int error = sync_directory(path_.parent_path())) fail_writing("made durable", error);
}

void write_file_atomically(const std::filesystem::path& path, std::span<const uint8_t> bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

void write_file_atomically(const std::filesystem::path& path, std::string_view text) { write_file_atomically(path, bytes_of(text)); }

void make_folder(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  DURA_CHECK(!error, "cannot make the folder ", path.string(), ": ", error.message(), ". Choose a directory that can be written to");
}

}  // namespace dura
