#include "engine/devices/cuda_devices.h"

#include "engine/cuda/card/card_driver.h"
#include "engine/cuda/driver.h"
#include "engine/devices/simulated_device.h"

namespace dura::cuda {

#if defined(DURA_HAS_CUDA)
// The backend (cuda_backend.cu) as compiled by nvcc.
namespace card {
std::unique_ptr<Backend> make_backend(Driver& driver, Stream stream, std::shared_ptr<MemorySource> memory);
}
#endif

namespace {

// One CUDA device of this process, made when it is first used and never destroyed: tensors with static lifetime may outlive main().
struct CudaDevice {
  Driver& driver;
  Stream stream;
  std::shared_ptr<MemorySource> memory;
  std::unique_ptr<Backend> backend;

  CudaDevice(Driver& d, decltype(SimulatedDevice::make_backend) make)
      : driver(d),
        stream(d.create_stream()),
        memory(std::make_shared<CachingPool>(
            RawMemory{[&d](size_t bytes) { return d.allocate(bytes); }, [&d](void* block) { d.release(block); }, true}, &d)),
        backend(make(d, stream, memory)) {}
};

CudaDevice& cuda_device(Device device) {
  if (const std::string reason = why_not(device); !reason.empty())
    fail_usage("device ", device_name(device), ": ", reason, ". Use --device cpu.");
#if defined(DURA_HAS_CUDA)
  if (device == Device::cuda) {
    static auto* card_device = new CudaDevice(*make_card_driver().release(), card::make_backend);
    return *card_device;
  }
#endif
  static auto* simulated = new CudaDevice(simulated_device()->driver(), simulated_device()->make_backend);
  return *simulated;
}

}  // namespace

bool in_this_build(Device device) {
#if defined(DURA_HAS_CUDA)
  if (device == Device::cuda) return true;
#endif
  return device == Device::cuda_sim && simulated_device();
}

std::string why_not(Device device) {
  if (!in_this_build(device))
    return device == Device::cuda_sim ? "the simulated device is not part of libdura" : "this build of dura has no CUDA";
#if defined(DURA_HAS_CUDA)
  if (device == Device::cuda) {
    static const std::string reason = why_no_card();
    return reason;
  }
#endif
  return "";
}

Driver& driver_of(Device device) { return cuda_device(device).driver; }
Stream compute_stream(Device device) { return cuda_device(device).stream; }
Backend& backend_of(Device device) { return *cuda_device(device).backend; }

}  // namespace dura::cuda
