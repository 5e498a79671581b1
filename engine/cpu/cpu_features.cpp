#include "engine/cpu/cpu_features.h"

#include <atomic>
#include <cstdlib>

#include "engine/base/check.h"
#include "engine/base/text.h"

namespace dura::cpu {
namespace {

std::vector<const KernelSet*> available() {
  std::vector<const KernelSet*> sets;
#if defined(DURA_X86_KERNELS)
  // These builtins ask the operating system too (xgetbv): a processor may have wide registers that are not saved at a task switch.
  static const KernelSet avx512bf16_kernels = [] {
    KernelSet set = avx512_kernels;
    set.name = "avx512bf16", set.bf16_product = bf16_product_avx512bf16;
    return set;
  }();
  if (__builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
    sets.push_back(&avx512bf16_kernels);
  if (__builtin_cpu_supports("avx512f")) sets.push_back(&avx512_kernels);
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) sets.push_back(&avx2_kernels);
#endif
  sets.push_back(&generic_kernels);
  return sets;
}

const KernelSet& find(const std::string& name, const char* where) {
  for (const KernelSet* set : available())
    if (name == set->name) return *set;
  std::vector<std::string> known;
  for (const KernelSet* set : available()) known.push_back(set->name);
  fail_usage(where, " asks for the CPU kernels '", name,
             "', which this processor or build does not have. Use one of: ", joined(known, ", "), ".");
}

std::atomic<const KernelSet*>& current() {
  static std::atomic<const KernelSet*> set = [] {
    const char* text = std::getenv("DURA_CPU");
    return text ? &find(text, "DURA_CPU") : available().front();
  }();
  return set;
}

std::atomic<bool> exact{false};

}  // namespace

const KernelSet& kernels() { return *current().load(std::memory_order_relaxed); }

const RowKernels& row_kernels(DType dtype) { return dtype == DType::f64 ? f64_row_kernels : kernels().rows; }

std::vector<std::string> available_kernel_sets() {
  std::vector<std::string> names;
  for (const KernelSet* set : available()) names.emplace_back(set->name);
  return names;
}

void use_kernel_set(const std::string& name) { current().store(&find(name, "use_kernel_set")); }

bool exact_conv() { return exact.load(std::memory_order_relaxed); }
void set_exact_conv(bool value) { exact.store(value); }

}  // namespace dura::cpu
