// Products of bf16 numbers by AMX's tiles (simd_amx_body.h). Compiled with its own flags: see simd_kernels.h for what may be included here.
#include "engine/cpu/simd_kernels.h"

#if defined(__AMX_BF16__) || defined(__AMXBF16__)  // as GCC and as clang 14 spell it
#include <immintrin.h>

#define DURA_AVX512_PAIRS

namespace dura::cpu {
namespace {

#include "engine/cpu/simd_avx512_vector.h"

#include "engine/cpu/simd_half.h"

#include "engine/cpu/simd_parts.h"

#include "engine/cpu/simd_epilogue.h"

#include "engine/cpu/simd_amx_body.h"

#include "engine/cpu/simd_pairs.h"

}  // namespace

const Bf16Kernel amx_bf16_kernel = {mr, nr, bf16_product, pair_rows};

}  // namespace dura::cpu
#endif
