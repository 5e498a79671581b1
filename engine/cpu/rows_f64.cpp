// BatchNorm's loops and max pooling in f64: the same as those of f32, one number at a time.
#include "engine/cpu/simd_kernels.h"

namespace dura::cpu {
namespace {

using Vec = double;
using Number = double;
constexpr size_t lanes = 1;

inline Vec load(const double* p) { return *p; }
inline Vec load_part(const double* p, size_t) { return *p; }
inline void store(double* p, Vec v) { *p = v; }
inline void store_part(double* p, size_t, Vec v) { *p = v; }
inline Vec max(Vec a, Vec b) { return a > b ? a : b; }
inline Vec if_greater(Vec v, Vec best, Vec a, Vec b) { return v > best || v != v ? a : b; }
inline Vec where_positive(Vec t, Vec v) { return t > 0 ? v : 0; }
template <class F>
inline void with_elements(Stored, const F& f) {
  f(static_cast<double*>(nullptr));
}

#include "engine/cpu/simd_parts.h"

#include "engine/cpu/simd_rows.h"

}  // namespace

const RowKernels f64_row_kernels = row_kernels;

}  // namespace dura::cpu
