// Uploads beside the computation: host -> pinned memory -> a buffer on the device by a copy stream, then into place by the compute stream.
// While one batch is computed on, the next can travel. Two slots in turn; the host waits only where both are still on their way.
#pragma once
#include <array>
#include <memory>

#include "engine/cuda/driver.h"
#include "engine/memory.h"

namespace dura::cuda {

class Staging {
 public:
  Staging(Driver& driver, Stream compute);
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  // `host` may change when this returns. In the order of the compute stream, `device` has the new bytes. What is larger than a slot goes
  // the direct way, through the compute stream.
  void upload(void* device, const void* host, size_t bytes);

  static constexpr size_t slot_bytes = size_t{5} << 20;  // 32 images of 224x224 pixels have 4.8 MB

 private:
  struct Slot {
    void* pinned = nullptr;
    std::unique_ptr<Buffer> device;
    Event arrived, taken;  // on the device, and from there into place
  };
  Driver& driver_;
  Stream compute_, copies_;
  std::array<Slot, 2> slots_;
  size_t next_ = 0;
};

}  // namespace dura::cuda
