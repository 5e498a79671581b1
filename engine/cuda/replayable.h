// Work of the CUDA backend that is put together once and run again as a whole (a CUDA graph).
#pragma once
#include <functional>

#include "engine/core/backend.h"
#include "engine/cuda/driver.h"

namespace dura::cuda {

class Replayable final : public Replay {
 public:
  // Runs `body` while the stream captures. Throws what body throws, and DriverError where body does what no capture allows; the stream is
  // as before then.
  Replayable(Driver& driver, Stream stream, const std::function<void()>& body);
  ~Replayable() override;
  Replayable(const Replayable&) = delete;
  Replayable& operator=(const Replayable&) = delete;

  void run() override;

 private:
  Driver& driver_;
  Stream stream_;
  CapturedWork work_;
};

}  // namespace dura::cuda
