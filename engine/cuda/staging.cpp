#include "engine/cuda/staging.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

namespace dura::cuda {

constexpr size_t smallest_slot = size_t{1} << 20;

Staging::Staging(Driver& driver, Stream compute) : driver_(driver), compute_(compute), copies_(driver.create_stream()) {
  for (Slot& s : slots_) s.arrived = driver.create_event(), s.taken = driver.create_event();
}
Staging::~Staging() {
  for (Slot& s : slots_)
    if (s.pinned) driver_.release_pinned(s.pinned);
}

void Staging::upload(void* device, const void* host, size_t bytes) {
  for (size_t done = 0; done < bytes; done += largest_slot)
    upload_part(static_cast<char*>(device) + done, static_cast<const char*>(host) + done, std::min(bytes - done, largest_slot));
}

void Staging::upload_part(void* device, const void* host, size_t bytes) {
  Slot& s = slots_[next_];
  if (!make_room(s, bytes)) {
    driver_.copy_to_device(device, host, bytes, compute_);
    driver_.synchronize(compute_);  // CUDA does not promise that it has read unpinned memory before
    return;
  }
  next_ = 1 - next_;
  driver_.synchronize(s.arrived);  // the copy that read this pinned memory last
  std::memcpy(s.pinned, host, bytes);
  driver_.wait(copies_, s.taken);
  driver_.copy_to_device(s.device->data(), s.pinned, bytes, copies_);
  driver_.record(s.arrived, copies_);
  driver_.wait(compute_, s.arrived);
  driver_.copy_on_device(device, s.device->data(), bytes, compute_);
  driver_.record(s.taken, compute_);
}

// False where the device or the system has no memory for it.
bool Staging::make_room(Slot& s, size_t bytes) {
  if (bytes <= s.bytes) return true;
  driver_.synchronize(s.arrived);
  if (s.pinned) driver_.release_pinned(std::exchange(s.pinned, nullptr));
  s.bytes = 0;
  s.device.reset();
  const size_t grown = std::bit_ceil(std::max(bytes, smallest_slot));
  try {
    s.device = std::make_unique<Buffer>(device_pool(driver_.device()), grown, "staging of uploads");
  } catch (const OutOfMemory&) {
    return false;
  }
  s.pinned = driver_.allocate_pinned(grown);
  if (!s.pinned) {
    s.device.reset();
    return false;
  }
  s.bytes = grown;
  driver_.record(s.taken, compute_);  // whatever had the device's memory before comes first
  return true;
}

}  // namespace dura::cuda
