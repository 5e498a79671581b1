// Small and middle-sized f32 matrix products of row-major matrices over the packed microkernel. For dense layers; no workspace.
#pragma once
#include <cstdint>

namespace dura::cpu {

enum class GemmForm : uint8_t {
  nn,  // C = A B:   A (m,depth), B (depth,n)
  nt,  // C = A B^T: A (m,depth), B (n,depth)
  tn,  // C = A^T B: A (depth,m), B (depth,n)
};

// C (m,n) = product, plus bias[j] in column j where bias is not null, plus what C held where `accumulate` is set. All matrices are
// contiguous.
void gemm_f32(GemmForm form, int64_t m, int64_t n, int64_t depth, const float* a, const float* b, const float* bias, bool accumulate,
              float* c);

}  // namespace dura::cpu
