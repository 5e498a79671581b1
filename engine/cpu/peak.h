// What the processor can do at most: the register tile of the kernel set in use on numbers that stay in the first-level cache.
#pragma once
#include "engine/core/dtype.h"

namespace dura::cpu {

// FLOP/s of all threads together, in the products by which convolutions of tensors stored as `stored` are computed. Takes about 0.2 s.
double measured_peak(DType stored);

}  // namespace dura::cpu
