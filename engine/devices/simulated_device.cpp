#include "engine/devices/simulated_device.h"

#include "engine/cuda/sim/sim_driver.h"

namespace dura::cuda {

// The backend (cuda_backend.cu) as compiled by the C++ compiler.
namespace simulated {
std::unique_ptr<Backend> make_backend(Driver& driver, Stream stream, std::shared_ptr<MemorySource> memory);
}

const SimulatedDevice* simulated_device() {
  static constexpr SimulatedDevice device{.driver = []() -> Driver& { return sim::sim_driver(); }, .make_backend = simulated::make_backend};
  return &device;
}

}  // namespace dura::cuda
