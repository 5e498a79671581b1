// How much memory this process has needed.
#pragma once
#include <cstdint>

namespace dura {

// The most bytes that were resident at once since the process began (VmHWM of /proc/self/status). Not getrusage's ru_maxrss: that one
// survives exec, so a program started by a larger one would report its parent's memory.
int64_t peak_resident_bytes();

}  // namespace dura
