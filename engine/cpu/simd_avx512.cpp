// Kernels for AVX-512 F: 12x32 tiles, 24 sums in 32 registers. Compiled with its own flags: see simd_kernels.h for what may be included
// here.
#include "engine/cpu/simd_kernels.h"

#if defined(__AVX512F__)
#include <immintrin.h>

#define DURA_TILE_ROWS 12

namespace dura::cpu {
namespace {

#include "engine/cpu/simd_avx512_vector.h"

constexpr size_t mr = DURA_TILE_ROWS;

#include "engine/cpu/simd_half.h"

#include "engine/cpu/simd_parts.h"

#include "engine/cpu/simd_epilogue.h"

#include "engine/cpu/simd_rows.h"

#include "engine/cpu/simd_body.h"

}  // namespace

const KernelSet avx512_kernels = kernel_set("avx512");

}  // namespace dura::cpu
#endif
