// BatchNorm's loops over rows of channels and max pooling, written once for every element type and instruction set. Each file that includes
// this one defines before it, in an unnamed namespace,
//   Vec, Number (of which Vec has `lanes`), load and load_part from each element type to Vec, store and store_part back (and includes
//   simd_parts.h), max, where_positive(t, v) (v in the lanes in which t > 0, else 0), if_greater(v, best, a, b) (a where v > best or v is
//   NaN, else b), and with_elements(stored, f), which calls f with a null pointer to the element type.
// Sums are made in the order of the rows. No include guard, no include: it is a part of the file that includes it; see simd_kernels.h.

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

// f(Rows<number of rows>, offset in the arrays, channel, lanes) for each piece of four rows at once, then of each row that is left: what
// stands once for each channel is read and written once for four rows.
template <size_t n>
struct RowCount {
  static constexpr size_t rows = n;
};
template <class Count, class F>
DURA_INLINE void for_channels(const RowBlock& p, size_t i, const F& f) {
  const size_t row = i * p.channels;
  size_t k = 0;
  for (; k + lanes <= p.channels; k += lanes) f(Count{}, row + k, k, lanes);
  if (k < p.channels) f(Count{}, row + k, k, p.channels - k);
}
template <class F>
DURA_INLINE void for_row_groups(const RowBlock& p, const F& f) {
  size_t i = 0;
  for (; i + 4 <= p.rows; i += 4) for_channels<RowCount<4>>(p, i, f);
  for (; i < p.rows; ++i) for_channels<RowCount<1>>(p, i, f);
}

void row_moments(const RowBlock* block) {
  const RowBlock p = *block;
  with_elements(
      p.stored, [&]<class E>(E*) __attribute__((always_inline)) {
        const E* x = static_cast<const E*>(p.x);
        Number *const mean = numbers(p.sum), *const m2 = numbers(p.sum_x);
        for (size_t k = 0; k < p.channels; ++k) mean[k] = m2[k] = 0;
        for_row_groups(
            p, [&]<class Count>(Count, size_t at, size_t k, size_t n) __attribute__((always_inline)) {
              Vec total = load(mean + k, n);
#pragma GCC unroll 4
              for (size_t r = 0; r < Count::rows; ++r) total = total + load(x + at + r * p.channels, n);
              store(mean + k, n, total);
            });
        for (size_t k = 0; k < p.channels; ++k) mean[k] /= static_cast<Number>(p.rows);
        for_row_groups(
            p, [&]<class Count>(Count, size_t at, size_t k, size_t n) __attribute__((always_inline)) {
              const Vec middle = load(mean + k, n);
              Vec total = load(m2 + k, n);
#pragma GCC unroll 4
              for (size_t r = 0; r < Count::rows; ++r) {
                const Vec d = load(x + at + r * p.channels, n) - middle;
                total = total + d * d;
              }
              store(m2 + k, n, total);
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
        for_row_groups(
            p, [&]<class Count>(Count, size_t at, size_t k, size_t n) __attribute__((always_inline)) {
              Vec g[Count::rows];
#pragma GCC unroll 4
              for (size_t r = 0; r < Count::rows; ++r) g[r] = masked<E>(p, at + r * p.channels, k, n);
              if (sum) {
                Vec total = load(sum + k, n);
#pragma GCC unroll 4
                for (size_t r = 0; r < Count::rows; ++r) total = total + g[r];
                store(sum + k, n, total);
              }
              if (sum_x) {
                const Vec middle = load(mean + k, n), factor = load(invstd + k, n);
                Vec total = load(sum_x + k, n);
#pragma GCC unroll 4
                for (size_t r = 0; r < Count::rows; ++r) total = total + g[r] * ((load(x + at + r * p.channels, n) - middle) * factor);
                store(sum_x + k, n, total);
              }
              if (out) {
#pragma GCC unroll 4
                for (size_t r = 0; r < Count::rows; ++r) store(out + at + r * p.channels, n, g[r]);
              }
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
