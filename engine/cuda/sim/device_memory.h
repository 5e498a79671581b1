// The memory of the simulated device: one range of addresses that the host can read or write only while a device operation runs. A stray
// access of the host ends the program with a message that names the tensor. Around every allocation, and behind every tensor up to the end
// of its block, lie guard bytes that nobody may change.
#pragma once
#include <cstddef>
#include <map>
#include <memory>
#include <string>

namespace dura::cuda::sim {

// A tensor's stretch of memory while it lives. Operations keep what they were given, so the checks behind an operation know its name.
struct LiveTensor {
  char* data = nullptr;
  size_t bytes = 0, capacity = 0;
  std::string what;
  bool container = false;
};

class DeviceMemory {
 public:
  DeviceMemory();
  ~DeviceMemory();
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  void* allocate(size_t bytes);  // null when the device is full
  void release(void* memory);
  // No more bytes than this are allocated at once.
  void set_limit(size_t bytes) { limit_ = bytes; }
  size_t limit() const { return limit_; }
  bool contains(const void* address) const { return address >= base_ && address < base_ + size; }

  std::shared_ptr<LiveTensor> begin_tensor(void* data, size_t bytes, size_t capacity, const std::string& what, bool container);
  void end_tensor(void* data);
  // The innermost living tensor with this address, or null.
  std::shared_ptr<LiveTensor> find(const void* address) const;
  // True while the memory that this address was part of has not been released.
  bool allocated(const void* address) const;

  // While device operations run.
  void open();
  void close();

  // With the memory open. NaN in every floating type, and the guard behind the tensor.
  static void poison(const LiveTensor& tensor);
  // With the memory open. "" or what was written where nothing may be written: behind the tensor, or around its allocation.
  std::string damage(const LiveTensor& tensor) const;

  // The device that was there before this one; they end in the reverse order.
  const DeviceMemory* earlier() const { return earlier_; }

  // For the message of a stray access; `name` must outlive the operation.
  static void set_running(const char* name);

 private:
  static constexpr size_t size = size_t{64} << 30;  // of addresses; pages take memory when they are written
  static constexpr size_t guard = 256;
  struct Extent {
    size_t whole = 0;  // with the guards, whole pages
    size_t bytes = 0;  // that were asked for
  };
  using Allocations = std::map<char*, Extent>;
  Allocations::const_iterator allocation_of(const void* address) const;
  void protect(int access);

  const DeviceMemory* earlier_ = nullptr;
  char* mapped_ = nullptr;
  char* base_ = nullptr;  // of the first huge page in there
  size_t used_ = 0;       // bytes from the base that were ever allocated
  size_t limit_ = size, in_use_ = 0;
  bool open_ = false;
  Allocations allocations_;
  std::map<char*, size_t> gaps_;
  std::map<char*, std::shared_ptr<LiveTensor>> containers_, tensors_;
};

}  // namespace dura::cuda::sim
