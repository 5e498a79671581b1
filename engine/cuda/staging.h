// Uploads beside the computation: host -> pinned memory -> a buffer on the device by a copy stream, then into place by the compute stream.
// While one batch is computed on, the next can travel. Two slots in turn; the host waits only where both are still on their way.
#pragma once
#include <array>
#include <memory>

#include "engine/cuda/driver.h"
#include "engine/core/memory.h"

namespace dura::cuda {

class Staging {
 public:
  Staging(Driver& driver, Stream compute);
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  // `host` may change when this returns. In the order of the compute stream, `device` has the new bytes. Where there is no memory for a
  // slot, the bytes go the direct way and the host waits for them.
  void upload(void* device, const void* host, size_t bytes);

  // Slots grow to the largest upload, up to this; what is larger travels in parts. 256 images of 224x224 pixels have 39 MB.
  static constexpr size_t largest_slot = size_t{64} << 20;

 private:
  struct Slot {
    size_t bytes = 0;
    void* pinned = nullptr;
    std::unique_ptr<Buffer> device;
    Event arrived, taken;  // on the device, and from there into place
  };
  void upload_part(void* device, const void* host, size_t bytes);
  bool make_room(Slot& slot, size_t bytes);

  Driver& driver_;
  Stream compute_, copies_;
  std::array<Slot, 2> slots_;
  size_t next_ = 0;
};

}  // namespace dura::cuda
