// The kernel set `amx` on any processor: its kernel (engine/cpu/simd_amx_body.h) over emulated tiles, everything else generic.
#pragma once
#include <string>
#include <vector>

#include "engine/cpu/simd_kernels.h"

namespace dura {

const cpu::KernelSet& emulated_amx_kernels();

// Names of the sets with products of bf16 that can run here: those that the processor has, and the emulated one.
std::vector<std::string> bf16_kernel_sets();

// cpu::use_kernel_set(), which also knows the emulated one.
void use_kernels(const std::string& name);

}  // namespace dura
