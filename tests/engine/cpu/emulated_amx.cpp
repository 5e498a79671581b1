#include "tests/engine/cpu/emulated_amx.h"

#include "engine/core/formula.h"
#include "engine/cpu/cpu_features.h"
#include "tests/engine/cpu/emulated_tiles.h"

namespace dura::cpu {
namespace {

using namespace emulated_tiles;

#include "engine/cpu/simd_generic_vector.h"

#include "engine/cpu/simd_half.h"

#include "engine/cpu/simd_parts.h"

#include "engine/cpu/simd_epilogue.h"

#include "engine/cpu/simd_amx_body.h"

#include "engine/cpu/simd_pairs.h"

}  // namespace
}  // namespace dura::cpu

namespace dura {

const cpu::KernelSet& emulated_amx_kernels() {
  static const cpu::KernelSet kernels = [] {
    cpu::KernelSet set = cpu::generic_kernels;
    set.name = "amx (emulated)", set.bf16 = {cpu::mr, cpu::nr, cpu::bf16_product, cpu::pair_rows};
    return set;
  }();
  return kernels;
}

std::vector<std::string> bf16_kernel_sets() {
  std::vector<std::string> sets;
  for (const std::string& set : cpu::available_kernel_sets())
    if (set == "avx512bf16" || set == "amx") sets.push_back(set);
  sets.emplace_back(emulated_amx_kernels().name);
  return sets;
}

void use_kernels(const std::string& name) {
  if (name == emulated_amx_kernels().name)
    cpu::use_kernel_set(emulated_amx_kernels());
  else
    cpu::use_kernel_set(name);
}

}  // namespace dura
