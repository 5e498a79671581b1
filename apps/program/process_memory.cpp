#include "apps/program/process_memory.h"

#include <fstream>
#include <string>

#include "engine/base/check.h"

namespace dura {

int64_t peak_resident_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    int64_t kib = 0;
    if (word == "VmHWM:" && status >> kib) return kib * 1024;
  }
  fail("/proc/self/status has no VmHWM line. Is /proc mounted?");
}

}  // namespace dura
