// Rows of 16-bit numbers as vectors of f32, from widened(E*, bits) and narrowed(E*, Vec) of the including file. A part of that file, like
// simd_body.h.

template <class E>
inline Vec load(const E* p) {
  decltype(narrowed(p, Vec{})) bits;
  __builtin_memcpy(&bits, p, sizeof bits);
  return widened(p, bits);
}
template <class E>
inline Vec load_part(const E* p, size_t n) {
  decltype(narrowed(p, Vec{})) bits{};
  __builtin_memcpy(&bits, p, n * sizeof(E));
  return widened(p, bits);
}
template <class E>
inline void store(E* p, Vec v) {
  const auto bits = narrowed(p, v);
  __builtin_memcpy(p, &bits, sizeof bits);
}
template <class E>
inline void store_part(E* p, size_t n, Vec v) {
  const auto bits = narrowed(p, v);
  __builtin_memcpy(p, &bits, n * sizeof(E));
}

// Calls f with a null pointer to the element type.
template <class F>
inline void with_elements(Stored stored, const F& f) {
  if (stored == stored_bf16)
    f(static_cast<Bf16*>(nullptr));
  else if (stored == stored_f16)
    f(static_cast<Half*>(nullptr));
  else
    f(static_cast<float*>(nullptr));
}
