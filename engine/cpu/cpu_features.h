// Which set of kernels runs: chosen once from what the processor has, so that one binary runs everywhere and is fast where it can be.
#pragma once
#include <string>
#include <vector>

#include "engine/core/dtype.h"
#include "engine/cpu/simd_kernels.h"

namespace dura::cpu {

// The set in use: the best available one but amx, or the one that DURA_CPU=generic|avx2|avx512|avx512bf16|amx names. Throws UsageError
// where DURA_CPU is something else, or names a set that this processor, operating system or build lacks.
const KernelSet& kernels();

// The loops over rows for numbers stored as `dtype`, a floating type.
const RowKernels& row_kernels(DType dtype);

// Names of the sets that can run here, best first; "generic" is always the last.
std::vector<std::string> available_kernel_sets();

// May this process use AMX's tiles? They are 8 KiB of registers, which Linux saves for a process that asked for it (since 5.16). Empty
// where the processor has products of bf16 tiles, the other instructions that the kernels need, and Linux gave its permission, which the
// first call asks for, once for the whole process; else what is missing.
const std::string& why_no_amx();

// Puts another set in use for the whole process, for tests and measurements; same errors as DURA_CPU. Not while kernels are running.
void use_kernel_set(const std::string& name);
void use_kernel_set(const KernelSet& set);  // which must stay

// True where Winograd's algorithm for the 3x3 convolutions (faster, a little less exact) must not be used. Off at start.
bool exact_conv();
void set_exact_conv(bool exact);

}  // namespace dura::cpu
