#include "engine/backend.h"

#include "engine/cpu/cpu_backend.h"
#include "engine/meta/meta_backend.h"

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
      break;
  }
  fail_usage("device ", device_name(device), " is not in this build. Use --device cpu.");
}

Backend& backend(Device device) {
  if (Backend* recording = DryRun::active(device)) return *recording;
  return device_backend(device);
}

}  // namespace dura
