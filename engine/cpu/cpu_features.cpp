#include "engine/cpu/cpu_features.h"

#if defined(DURA_X86_KERNELS) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "engine/base/check.h"
#include "engine/base/log.h"
#include "engine/base/text.h"

namespace dura::cpu {
namespace {

#if defined(DURA_X86_KERNELS) && defined(__linux__)
bool processor_has_amx() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned bf16 = 1u << 22, tiles = 1u << 24;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & bf16) && (d & tiles) && __builtin_cpu_supports("avx512f") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}

std::string ask_for_amx() {
  if (!processor_has_amx()) return "this processor does not have AMX's products of bf16 tiles";
  // Numbers of Linux's interface (Documentation/arch/x86/xstate.rst), which older headers do not name.
  constexpr long ask_for_state = 0x1023, tile_data = 18;
  if (syscall(SYS_arch_prctl, ask_for_state, tile_data) == 0) return "";
  return concat("the processor has AMX, but Linux does not let this process use it (arch_prctl: ", std::strerror(errno),
                "): Linux 5.16 or newer is needed, and a virtual machine must be given it");
}
#else
std::string ask_for_amx() { return "this build has no kernels for AMX"; }
#endif

constexpr const char* amx = "amx";  // never run on a processor that has it: used where it is asked for by name, not chosen

// All that can run here, best first. Whether AMX can is not asked in vain: the answer is Linux's permission to use it.
std::vector<const KernelSet*> available(bool with_amx) {
  std::vector<const KernelSet*> sets;
#if defined(DURA_X86_KERNELS)
  // These builtins ask the operating system too (xgetbv): a processor may have wide registers that are not saved at a task switch.
  static const KernelSet amx_kernels = [] {
    KernelSet set = avx512_kernels;
    set.name = amx, set.bf16 = amx_bf16_kernel;
    return set;
  }();
  if (with_amx && why_no_amx().empty()) sets.push_back(&amx_kernels);
  if (__builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
    sets.push_back(&avx512bf16_kernels);
  if (__builtin_cpu_supports("avx512f")) sets.push_back(&avx512_kernels);
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) sets.push_back(&avx2_kernels);
#endif
  sets.push_back(&generic_kernels);
  return sets;
}

const KernelSet& find(const std::string& name, const char* where) {
  for (const KernelSet* set : available(name == amx))
    if (name == set->name) return *set;
  std::vector<std::string> known;
  for (const KernelSet* set : available(false)) known.push_back(set->name);
  fail_usage(where, " asks for the CPU kernels '", name, "', which this processor or build does not have",
             name == amx ? concat(" (", why_no_amx(), ")") : "", ". Use one of: ", joined(known, ", "), ".");
}

const KernelSet& named(const char* name) {
  const KernelSet& set = find(name, "DURA_CPU");
  if (set.name == std::string(amx))
    log_warning("DURA_CPU=amx: these kernels were tested in emulation and never on a processor with AMX. Compare what they compute with ",
                "DURA_CPU=avx512 before you rely on it.");
  return set;
}

std::atomic<const KernelSet*>& current() {
  static std::atomic<const KernelSet*> set = [] {
    const char* text = std::getenv("DURA_CPU");
    return text ? &named(text) : available(false).front();
  }();
  return set;
}

std::atomic<bool> exact{false};

}  // namespace

const std::string& why_no_amx() {
  static const std::string reason = ask_for_amx();
  return reason;
}

const KernelSet& kernels() { return *current().load(std::memory_order_relaxed); }

const RowKernels& row_kernels(DType dtype) { return dtype == DType::f64 ? f64_row_kernels : kernels().rows; }

std::vector<std::string> available_kernel_sets() {
  std::vector<std::string> names;
  for (const KernelSet* set : available(true)) names.emplace_back(set->name);
  return names;
}

void use_kernel_set(const std::string& name) { use_kernel_set(find(name, "use_kernel_set")); }
void use_kernel_set(const KernelSet& set) { current().store(&set); }

bool exact_conv() { return exact.load(std::memory_order_relaxed); }
void set_exact_conv(bool value) { exact.store(value); }

}  // namespace dura::cpu
