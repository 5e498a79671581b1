// Kernels for any processor: 6x8 tiles, 12 sums.
#include "engine/core/formula.h"
#include "engine/cpu/simd_kernels.h"

#define DURA_TILE_ROWS 6

namespace dura::cpu {
namespace {

#include "engine/cpu/simd_generic_vector.h"

constexpr size_t mr = DURA_TILE_ROWS, unrolled_steps = 1;
constexpr bool streams = false;

inline void stream(float* p, Vec v) { store(p, v); }
inline void streamed() {}
inline Vec broadcast(const float* p) { return broadcast(*p); }
inline void add_product(Vec& sum, Vec a, Vec b) { sum = fma(a, b, sum); }

#include "engine/cpu/simd_half.h"

#include "engine/cpu/simd_parts.h"

#include "engine/cpu/simd_epilogue.h"

#include "engine/cpu/simd_rows.h"

#include "engine/cpu/simd_body.h"

}  // namespace

const KernelSet generic_kernels = kernel_set("generic");

}  // namespace dura::cpu
