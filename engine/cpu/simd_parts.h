// Whole vectors and parts of them, from load and load_part, store and store_part of the including file. A part of that file, like
// simd_body.h.

#define DURA_INLINE inline __attribute__((always_inline))

// The first n lanes, n <= lanes.
template <class E>
DURA_INLINE Vec load(const E* p, size_t n) {
  return n == lanes ? load(p) : load_part(p, n);
}
template <class E>
DURA_INLINE void store(E* p, size_t n, Vec v) {
  if (n == lanes)
    store(p, v);
  else
    store_part(p, n, v);
}
