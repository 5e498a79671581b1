// Small and middle-sized f32 matrix products of row-major matrices over the packed microkernel. For dense layers; no workspace.
#pragma once
#include <cstdint>

#include "engine/cpu/conv_f32_gather.h"

namespace dura::cpu {

// c (m,n) = a (m,depth) b (depth,n), plus bias[j] in column j where bias is not null, plus what c held where `accumulate` is set. A
// transposed factor is stored as (depth,m) or (n,depth); all matrices are contiguous.
struct Gemm {
  int64_t m = 0, n = 0, depth = 0;
  const float* a = nullptr;
  StoredPointer b = {nullptr, stored_f32};  // of f32 or 16-bit numbers
  bool transpose_a = false, transpose_b = false;
  const float* bias = nullptr;
  bool accumulate = false;
  float* c = nullptr;
};
void gemm_f32(const Gemm& g);

}  // namespace dura::cpu
