#include "engine/cpu/amx.h"

#if defined(DURA_X86_KERNELS) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "engine/base/check.h"

namespace dura::cpu {
namespace {

bool processor_has_amx() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned bf16 = 1u << 22, tiles = 1u << 24;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & bf16) && (d & tiles) && __builtin_cpu_supports("avx512f") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}

std::string ask() {
  if (!processor_has_amx()) return "this processor does not have AMX's products of bf16 tiles";
  // Numbers of Linux's interface (Documentation/arch/x86/xstate.rst), which older headers do not name.
  constexpr long ask_for_state = 0x1023, tile_data = 18;
  if (syscall(SYS_arch_prctl, ask_for_state, tile_data) == 0) return "";
  return concat("the processor has AMX, but Linux does not let this process use it (arch_prctl: ", std::strerror(errno),
                "): Linux 5.16 or newer is needed, and a virtual machine must be given it");
}

}  // namespace

const std::string& why_no_amx() {
  static const std::string reason = ask();
  return reason;
}

}  // namespace dura::cpu
#else
namespace dura::cpu {

const std::string& why_no_amx() {
  static const std::string reason = "this build has no kernels for AMX";
  return reason;
}

}  // namespace dura::cpu
#endif
