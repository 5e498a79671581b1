// Which devices there are.
#include "engine/core/backend.h"
#include "engine/cpu/cpu_backend.h"
#include "engine/devices/cuda_devices.h"
#include "engine/plan/meta_backend.h"

namespace dura {

Backend& device_backend(Device device) {
  static CpuBackend cpu;
  static MetaBackend meta(Device::meta, Device::cpu);
  switch (device) {
    case Device::cpu:
      return cpu;
    case Device::meta:
      return meta;
    case Device::cuda:
    case Device::cuda_sim:
      return cuda::backend_of(device);
  }
  fail("device_backend: no such device");
}

Backend& backend(Device device) {
  if (Backend* recording = DryRun::active(device)) return *recording;
  return device_backend(device);
}

}  // namespace dura
