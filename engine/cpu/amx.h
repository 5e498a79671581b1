// May this process use AMX's tiles? They are 8 KiB of registers, which Linux saves for a process that asked for it (since 5.16).
#pragma once
#include <string>

namespace dura::cpu {

// Empty where the processor has products of bf16 tiles, the other instructions that the kernels need, and Linux gave its permission, which
// the first call asks for, once for the whole process; else what is missing.
const std::string& why_no_amx();

}  // namespace dura::cpu
