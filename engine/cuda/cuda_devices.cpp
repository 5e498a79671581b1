#include "engine/cuda/cuda_devices.h"

#include "engine/cuda/sim/sim_driver.h"

namespace dura::cuda {

// The backend compiled by the C++ compiler (cuda_backend.cu).
namespace simulated {
std::unique_ptr<Backend> make_backend(Driver& driver, Stream stream);
}

namespace {

// Tells the driver which tensors live where.
class Watcher final : public BlockWatcher {
 public:
  explicit Watcher(Driver& driver) : driver_(driver) {}
  void begins(void* data, size_t bytes, size_t capacity, const std::string& what, bool container) override {
    driver_.tensor_begins(data, bytes, capacity, what, container);
  }
  void ends(void* data) override { driver_.tensor_ends(data); }

 private:
  Driver& driver_;
};

// One CUDA device of this process, made when it is first used and never destroyed: tensors with static lifetime may outlive main().
struct CudaDevice {
  Driver& driver;
  Stream stream;
  Watcher watcher;
  std::shared_ptr<MemorySource> memory;
  std::unique_ptr<Backend> backend;

  CudaDevice(Driver& d, std::unique_ptr<Backend> (*make)(Driver&, Stream))
      : driver(d),
        stream(d.create_stream()),
        watcher(d),
        memory(std::make_shared<CachingPool>(
            RawMemory{[&d](size_t bytes) { return d.allocate(bytes); }, [&d](void* block) { d.release(block); }}, &watcher)),
        backend(make(d, stream)) {}
};

CudaDevice& cuda_device(Device device) {
  if (const std::string reason = why_not(device); !reason.empty()) fail_usage("device ", device_name(device), ": ", reason);
  static auto* simulated_device = new CudaDevice(sim::sim_driver(), simulated::make_backend);
  return *simulated_device;
}

}  // namespace

std::string why_not(Device device) {
  if (device == Device::cuda_sim) return "";
  return "this build of dura has no CUDA. Use --device cpu";
}

Driver& driver_of(Device device) { return cuda_device(device).driver; }
Stream compute_stream(Device device) { return cuda_device(device).stream; }
Backend& backend_of(Device device) { return *cuda_device(device).backend; }
std::shared_ptr<MemorySource> memory_of(Device device) { return cuda_device(device).memory; }
BlockWatcher* watcher_of(Device device) { return &cuda_device(device).watcher; }

}  // namespace dura::cuda
