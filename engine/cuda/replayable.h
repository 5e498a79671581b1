// Work of the CUDA backend that is put together once and run again as a whole (a CUDA graph): the host's share of a step becomes one call.
#pragma once
#include <functional>
#include <memory>

#include "engine/device.h"

namespace dura::cuda {

class Replayable {
 public:
  // Runs `body` on the host while the compute stream captures: what it puts into the stream is kept, nothing of it runs yet. Throws what
  // body throws, and DriverError where body does what no capture allows; the stream is as before then.
  Replayable(Device device, const std::function<void()>& body);
  ~Replayable();
  Replayable(const Replayable&) = delete;
  Replayable& operator=(const Replayable&) = delete;

  // Memory that the work uses must still be where it was.
  void run();

 private:
  Device device_;
  int work_ = -1;
};

}  // namespace dura::cuda
