// Files as a whole: read with a cap on their size, and written so that a reader finds the old bytes or the new ones, never a part of them.
// Everything dura writes (weights, checkpoints, pictures, tables) goes through AtomicFile: a full disk or a kill must not cost the last
// good file.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/check.h"

namespace dura {

// An open regular file, read from front to back. A directory, a pipe or a device is refused (it could hang or never end).
class InputFile {
 public:
  explicit InputFile(const std::filesystem::path& path);  // throws Error with the path, the system's reason and what to do
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  uint64_t size() const { return size_; }  // bytes, when it was opened
  size_t read(void* into, size_t bytes);   // up to `bytes` bytes; fewer only at the end of the file
  // The same from `position` on, for several threads at once.
  size_t read_at(uint64_t position, void* into, size_t bytes) const;

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  uint64_t size_ = 0, position_ = 0;
};

// The whole file. Throws Error when it is larger than `max_bytes`, before anything is allocated, or when it changes size while being read.
std::vector<uint8_t> read_file(const std::filesystem::path& path, uint64_t max_bytes);
std::string read_text_file(const std::filesystem::path& path, uint64_t max_bytes);

// The same for large files: on all threads, into memory that is not filled with zeros first, which would take as long as reading a file
// that is in the page cache.
struct FileBytes {
  std::shared_ptr<const uint8_t[]> data;
  size_t size = 0;
  std::span<const uint8_t> span() const { return {data.get(), size}; }
};
FileBytes read_file_bytes(const std::filesystem::path& path, uint64_t max_bytes);

// A file written beside its final place ("<path>.tmp"), synced, and renamed over it by commit(). Without commit() the temporary file is
// removed and the old file stays as it was. What a killed process left behind is used again by the next writer of the same path; a second
// writer at the same time is refused. A symbolic link at `path` is replaced, not followed. All errors are Error.
class AtomicFile {
 public:
  explicit AtomicFile(const std::filesystem::path& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const uint8_t> bytes);
  void write(std::string_view text);
  // File contents, then name: after it returns, the new file survives a power cut. Call once, last.
  void commit();

  const std::filesystem::path& path() const { return path_; }

 private:
  void open_temporary();
  void close_and_remove() noexcept;
  [[noreturn]] void fail_writing(const char* step, int error) const;

  std::filesystem::path path_, temporary_;
  int descriptor_ = -1;
  uint64_t written_ = 0;
};

void write_file_atomically(const std::filesystem::path& path, std::span<const uint8_t> bytes);
void write_file_atomically(const std::filesystem::path& path, std::string_view text);

// The folder, and those above it, where they are missing. Throws Error with the system's reason.
void make_folder(const std::filesystem::path& path);

}  // namespace dura
