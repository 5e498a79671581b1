#include "engine/cuda/replayable.h"

namespace dura::cuda {

Replayable::Replayable(Driver& driver, Stream stream, const std::function<void()>& body) : driver_(driver), stream_(stream) {
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
  work_ = driver.end_capture(stream);
}

Replayable::~Replayable() { driver_.release(work_); }

void Replayable::run() { driver_.replay(work_, stream_); }

}  // namespace dura::cuda
