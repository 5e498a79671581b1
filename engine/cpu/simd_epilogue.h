// How sums leave the registers. A part of the file that includes it, behind simd_parts.h and simd_half.h.

// Writes the sums of n columns from column j on; `at`: where they lie in the output.
template <class E>
DURA_INLINE void finish(const EpiloguePointers& e, Vec v, E* output, ptrdiff_t at, size_t j, size_t n) {
  if (e.scale) v = v * load(e.scale + j, n);
  if (e.bias) v = v + load(e.bias + j, n);
  if (e.residual) v = v + load(static_cast<const E*>(e.residual) + at, n);
  if (e.accumulate) v = v + load(output + at, n);
  store(output + at, n, e.relu ? max(Vec{}, v) : v);  // in this order a NaN stays a NaN
}

// finish() for a tile of full width at column j but for the writing, step by step: what is left out is asked for once.
template <int Rows, class E>
DURA_INLINE void finish_tile(const EpiloguePointers& e, Vec (&sum)[Rows][2], const E* output, const ptrdiff_t* rows, size_t j) {
  const auto change = [&](const auto& f) __attribute__((always_inline)) {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) f(r, 0), f(r, 1);
  };
  const auto add = [&](const E* from) __attribute__((always_inline)) {
    change([&](int r, int half) __attribute__((always_inline)) {
      sum[r][half] = sum[r][half] + load(from + rows[r] + static_cast<ptrdiff_t>(j + static_cast<size_t>(half) * lanes));
    });
  };
  if (e.scale) {
    const Vec scale[2] = {load(e.scale + j), load(e.scale + j + lanes)};
    change([&](int r, int half) __attribute__((always_inline)) { sum[r][half] = sum[r][half] * scale[half]; });
  }
  if (e.bias) {
    const Vec bias[2] = {load(e.bias + j), load(e.bias + j + lanes)};
    change([&](int r, int half) __attribute__((always_inline)) { sum[r][half] = sum[r][half] + bias[half]; });
  }
  if (e.residual) add(static_cast<const E*>(e.residual));
  if (e.accumulate) add(output);
  if (e.relu) change([&](int r, int half) __attribute__((always_inline)) { sum[r][half] = max(Vec{}, sum[r][half]); });
}

// Writes a tile of sums, `rows` rows of `row` floats that begin at column j of the product; row r goes to p.c + c_rows[r]. Not inlined into
// each of the tiles. Product: BlockProduct or Bf16Product.
template <class Product>
__attribute__((noinline)) void finish_sums(const Product& p, const float* sums, size_t row, size_t rows, const ptrdiff_t* c_rows,
                                           size_t j) {
  const size_t width = p.cols - j < row ? p.cols - j : row;
  with_elements(
      p.epilogue.stored, [&]<class E>(E*) __attribute__((always_inline)) {
        for (size_t r = 0; r < rows; ++r)
          for (size_t k = 0; k < width; k += lanes) {
            const size_t n = width - k < lanes ? width - k : lanes;
            finish(p.epilogue, load(sums + r * row + k), static_cast<E*>(p.c), c_rows[r] + static_cast<ptrdiff_t>(j + k), j + k, n);
          }
      });
}

// bf16 output is written (and the residual read) when the sums of a tile are done: asks for the lines before, so that they come while the
// sums are made. 32 columns are 64 bytes.
DURA_INLINE void prefetch_output(const Bf16Product& p, const ptrdiff_t* c_rows, size_t rows, size_t j) {
  const char *const to = static_cast<const char*>(p.c), *const residual = static_cast<const char*>(p.epilogue.residual);
#pragma GCC unroll 16
  for (size_t r = 0; r < rows; ++r) {
    const ptrdiff_t at = (c_rows[r] + static_cast<ptrdiff_t>(j)) * static_cast<ptrdiff_t>(sizeof(Bf16));
    if (!p.epilogue.stream) prefetch(to + at);
    if (residual) prefetch(residual + at);
  }
}
