#include "engine/cuda/replayable.h"

#include "engine/cuda/cuda_devices.h"
#include "engine/cuda/driver.h"

namespace dura::cuda {

Replayable::Replayable(Device device, const std::function<void()>& body) : device_(device) {
  Driver& driver = driver_of(device);
  const Stream stream = compute_stream(device);
  driver.begin_capture(stream);
  try {
    body();
  } catch (...) {
    // The first error is the one to tell; the capture that it ended is of no use.
    try {
      driver.release(driver.end_capture(stream));
    } catch (const DriverError&) {
    }
    throw;
  }
  work_ = driver.end_capture(stream).id;
}

Replayable::~Replayable() { driver_of(device_).release(CapturedWork{work_}); }

void Replayable::run() { driver_of(device_).replay(CapturedWork{work_}, compute_stream(device_)); }

}  // namespace dura::cuda
