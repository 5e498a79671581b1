// Vectors of four floats in the compiler's own notation (SSE2 on x86-64, NEON on ARM), with 16-bit numbers widened and rounded one by one.
// Needs engine/core/formula.h. A part of the file that includes it in an unnamed namespace, like simd_body.h.

typedef float Vec __attribute__((vector_size(16)));
typedef float UnalignedVec __attribute__((vector_size(16), aligned(4), may_alias));
using Number = float;
constexpr size_t lanes = 4;

inline Vec load(const float* p) { return *reinterpret_cast<const UnalignedVec*>(p); }
inline void store(float* p, Vec v) { *reinterpret_cast<UnalignedVec*>(p) = v; }
inline Vec load_part(const float* p, size_t n) {
  Vec v = {0.0f, 0.0f, 0.0f, 0.0f};
  for (size_t i = 0; i < n; ++i) v[i] = p[i];
  return v;
}
inline void store_part(float* p, size_t n, Vec v) {
  for (size_t i = 0; i < n; ++i) p[i] = v[i];
}
inline Vec broadcast(float x) { return Vec{x, x, x, x}; }
inline void prefetch(const char* p) { __builtin_prefetch(p); }
inline Vec fma(Vec a, Vec b, Vec c) { return a * b + c; }
inline Vec max(Vec a, Vec b) { return a > b ? a : b; }
inline Vec if_greater(Vec v, Vec best, Vec a, Vec b) { return ((v > best) | (v != v)) ? a : b; }
inline Vec where_positive(Vec t, Vec v) { return t > 0 ? v : Vec{}; }

// 16-bit numbers, one by one.
struct HalfVec {
  unsigned short bits[lanes];
};
inline float widened(Bf16 v) { return formula::from_bf16({v}); }
inline float widened(Half v) { return formula::from_f16({v.bits}); }
inline unsigned short narrowed_one(const Bf16*, float v) { return formula::to_bf16(v).bits; }
inline unsigned short narrowed_one(const Half*, float v) { return formula::to_f16(v).bits; }
template <class E>
inline Vec widened(const E*, const HalfVec& h) {
  E e[lanes];
  __builtin_memcpy(e, h.bits, sizeof e);
  return Vec{widened(e[0]), widened(e[1]), widened(e[2]), widened(e[3])};
}
template <class E>
inline HalfVec narrowed(const E* p, Vec v) {
  return {{narrowed_one(p, v[0]), narrowed_one(p, v[1]), narrowed_one(p, v[2]), narrowed_one(p, v[3])}};
}
