#include "engine/cuda/staging.h"

#include <cstring>

namespace dura::cuda {

Staging::Staging(Driver& driver, Stream compute) : driver_(driver), compute_(compute), copies_(driver.create_stream()) {
  for (Slot& s : slots_) s.arrived = driver.create_event(), s.taken = driver.create_event();
}
Staging::~Staging() {
  for (Slot& s : slots_)
    if (s.pinned) driver_.release_pinned(s.pinned);
}

void Staging::upload(void* device, const void* host, size_t bytes) {
  Slot& s = slots_[next_];
  if (bytes <= slot_bytes && !s.pinned) {
    s.pinned = driver_.allocate_pinned(slot_bytes);
    if (s.pinned) {
      s.device = std::make_unique<Buffer>(device_pool(driver_.device()), slot_bytes, "staging of uploads");
      driver_.record(s.taken, compute_);  // whatever had this memory before comes first
    }
  }
  if (bytes > slot_bytes || !s.pinned) {  // too large, or the system gives no more pinned memory
    driver_.copy_to_device(device, host, bytes, compute_);
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

}  // namespace dura::cuda
