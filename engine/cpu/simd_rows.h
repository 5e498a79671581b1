// BatchNorm's loops over rows of channels and max pooling, written once for every element type and instruction set. Each file that includes
// this one defines before it, in an unnamed namespace,
//   Vec, Number (of which Vec has `lanes`), load and load_part from each element type to Vec, store and store_part back, max,
//   where_positive(t, v) (v in the lanes in which t > 0, else 0), if_greater(v, best, a, b) (a where v > best or v is NaN, else b), and
//   with_elements(stored, f), which calls f with a null pointer to the
//   element type.
// Sums are made in the order of the rows. No include guard, no include: it is a part of the file that includes it; see simd_kernels.h.

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

// f(offset in the arrays, channel, lanes) for each piece of each row.
template <class F>
DURA_INLINE void for_pieces(const RowBlock& p, const F& f) {
  for (size_t i = 0; i < p.rows; ++i) {
    const size_t row = i * p.channels;
    size_t k = 0;
    for (; k + lanes <= p.channels; k += lanes) f(row + k, k, lanes);
    if (k < p.channels) f(row + k, k, p.channels - k);
  }
}

DURA_INLINE const Number* numbers(const void* p) { return static_cast<const Number*>(p); }
DURA_INLINE Number* numbers(void* p) { return static_cast<Number*>(p); }

void row_moments(const RowBlock* block) {
  const RowBlock p = *block;
  with_elements(
      p.stored, [&]<class E>(E*) __attribute__((always_inline)) {
        const E* x = static_cast<const E*>(p.x);
        Number *const mean = numbers(p.sum), *const m2 = numbers(p.sum_x);
        for (size_t k = 0; k < p.channels; ++k) mean[k] = m2[k] = 0;
        for_pieces(
            p, [&](size_t at, size_t k, size_t n)
                   __attribute__((always_inline)) { store(mean + k, n, load(mean + k, n) + load(x + at, n)); });
        for (size_t k = 0; k < p.channels; ++k) mean[k] /= static_cast<Number>(p.rows);
        for_pieces(
            p, [&](size_t at, size_t k, size_t n) __attribute__((always_inline)) {
              const Vec d = load(x + at, n) - load(mean + k, n);
              store(m2 + k, n, load(m2 + k, n) + d * d);
            });
      });
}

void row_scale_shift(const RowBlock* block) {
  const RowBlock p = *block;
  with_elements(
      p.stored, [&]<class E>(E*) __attribute__((always_inline)) {
        const E *x = static_cast<const E*>(p.x), *residual = static_cast<const E*>(p.residual);
        E* out = static_cast<E*>(p.out);
        const Number *scale = numbers(p.scale), *shift = numbers(p.shift);
        for_pieces(
            p, [&](size_t at, size_t k, size_t n) __attribute__((always_inline)) {
              Vec v = load(x + at, n);
              if (scale) v = v * load(scale + k, n);
              if (shift) v = v + load(shift + k, n);
              if (residual) v = v + load(residual + at, n);
              store(out + at, n, p.relu ? max(Vec{}, v) : v);  // in this order a NaN stays a NaN
            });
      });
}

// The gradient behind the activation.
template <class E>
DURA_INLINE Vec masked(const RowBlock& p, size_t at, size_t k, size_t n) {
  const Vec g = load(static_cast<const E*>(p.dy) + at, n);
  if (p.mask == mask_output) return where_positive(load(static_cast<const E*>(p.y) + at, n), g);
  if (p.mask == mask_recomputed)
    return where_positive(load(static_cast<const E*>(p.x) + at, n) * load(numbers(p.scale) + k, n) + load(numbers(p.shift) + k, n), g);
  return g;
}

void row_gradient_sums(const RowBlock* block) {
  const RowBlock p = *block;
  with_elements(
      p.stored, [&]<class E>(E*) __attribute__((always_inline)) {
        const E* x = static_cast<const E*>(p.x);
        E* out = static_cast<E*>(p.out);
        Number *const sum = numbers(p.sum), *const sum_x = numbers(p.sum_x);
        const Number *mean = numbers(p.mean), *invstd = numbers(p.invstd);
        for_pieces(
            p, [&](size_t at, size_t k, size_t n) __attribute__((always_inline)) {
              const Vec g = masked<E>(p, at, k, n);
              if (sum) store(sum + k, n, load(sum + k, n) + g);
              if (sum_x) store(sum_x + k, n, load(sum_x + k, n) + g * ((load(x + at, n) - load(mean + k, n)) * load(invstd + k, n)));
              if (out) store(out + at, n, g);
            });
      });
}

void row_gradient_data(const RowBlock* block) {
  const RowBlock p = *block;
  with_elements(
      p.stored, [&]<class E>(E*) __attribute__((always_inline)) {
        const E* x = static_cast<const E*>(p.x);
        E* out = static_cast<E*>(p.out);
        const Number *mean = numbers(p.mean), *scale = numbers(p.scale), *slope = numbers(p.slope), *offset = numbers(p.offset);
        for_pieces(
            p, [&](size_t at, size_t k, size_t n) __attribute__((always_inline)) {
              Vec v = load(scale + k, n) * masked<E>(p, at, k, n) - load(slope + k, n) * (load(x + at, n) - load(mean + k, n)) -
                      load(offset + k, n);
              if (p.accumulate) v = load(out + at, n) + v;
              store(out + at, n, v);
            });
      });
}

void max_pool(const PoolWindow* window) {
  const PoolWindow p = *window;
  with_elements(
      p.stored, [&]<class E>(E*) __attribute__((always_inline)) {
        for (size_t c = 0; c < p.channels; c += lanes) {
          const size_t n = p.channels - c < lanes ? p.channels - c : lanes;
          Vec best = Vec{} - __builtin_huge_valf(), where = Vec{} + static_cast<Number>(p.places[0]);
          for (size_t i = 0; i < p.count; ++i) {
            const Vec v = load(static_cast<const E*>(p.pixels[i]) + c, n), place = Vec{} + static_cast<Number>(p.places[i]);
            where = if_greater(v, best, place, where);
            best = if_greater(v, best, v, best);
          }
          store(static_cast<E*>(p.out) + c, n, best);
          Number places[lanes];
          store(places, where);
          for (size_t i = 0; i < n; ++i) p.index[c + i] = static_cast<unsigned char>(places[i]);
        }
      });
}

constexpr RowKernels row_kernels = {row_moments, row_scale_shift, row_gradient_sums, row_gradient_data, max_pool};
