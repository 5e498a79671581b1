// The kernels of one set, written once over a vector type with the operators +, - and *. Each simd_*.cpp defines, in an unnamed namespace,
// what simd_rows.h asks for and
//   mr, broadcast (of what a pointer points to), prefetch, fma (a*b+c), add_product (sum += a*b by fma), unrolled_steps (of the depth, in
//   the innermost loop), streams (can it store past the caches?), stream (a store of a part of a cache line that is written whole),
//   streamed (from then on whoever waits for this thread sees what it streamed), and the macro DURA_TILE_ROWS (= mr),
// and then includes simd_epilogue.h, simd_rows.h and this file there. Everything here has internal linkage: nothing may be shared between
// objects of different instruction sets. No include guard, no include: it is a part of the file that includes it.

constexpr size_t nr = 2 * lanes;

// The sums of one register tile: Rows x 2 vectors. `a` is read by broadcast, so that it needs no packing when its rows are contiguous.
template <int Rows>
DURA_INLINE void multiply_strided(size_t depth, const float* a, ptrdiff_t row, ptrdiff_t a_depth, const float* b, ptrdiff_t b_depth,
                                  Vec (&sum)[Rows][2]) {
  // Groups of three rows share a pointer and the offsets 1 and 2 rows, which an address can hold: 12 pointers would not fit the registers.
  constexpr int groups = (Rows + 2) / 3;
  const float* group[groups];
#pragma GCC unroll 4
  for (int g = 0; g < groups; ++g) group[g] = a + 3 * g * row;
  const auto step = [&]() __attribute__((always_inline)) {
    const Vec b0 = load(b), b1 = load(b + lanes);
    b += b_depth;
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const Vec x = broadcast(group[r / 3] + (r % 3) * row);
      add_product(sum[r][0], x, b0);
      add_product(sum[r][1], x, b1);
    }
#pragma GCC unroll 4
    for (int g = 0; g < groups; ++g) group[g] += a_depth;
  };
  for (; depth >= unrolled_steps; depth -= unrolled_steps) {
#pragma GCC unroll 4
    for (size_t s = 0; s < unrolled_steps; ++s) {
      step();
      // No load of the next step comes before this: it would push sums out of the registers.
      if (unrolled_steps > 1) asm volatile("" ::: "memory");
    }
  }
  if (unrolled_steps > 1)
    for (; depth != 0; --depth) step();
}

// With the strides that are known here as constants.
template <int Rows>
DURA_INLINE void multiply(const BlockProduct& p, const float* a, const float* b, Vec (&sum)[Rows][2]) {
  if (p.a_depth == 1 && p.b_depth == static_cast<ptrdiff_t>(nr))
    multiply_strided<Rows>(p.depth, a, p.a_row, 1, b, nr, sum);
  else
    multiply_strided<Rows>(p.depth, a, 1, p.a_depth, b, p.b_depth, sum);
}

template <int Rows>
void tile(const BlockProduct& p, const float* a, const float* b, float* partial, size_t i, size_t j) {
  const EpiloguePointers& e = p.epilogue;
  const size_t c_bytes = e.stored == stored_f32 ? sizeof(float) : sizeof(Half);
  const auto output = [&](int r) { return p.c_rows[i + static_cast<size_t>(r)] + static_cast<ptrdiff_t>(j); };
  Vec sum[Rows][2];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
    sum[r][0] = p.first ? Vec{} : load(partial + r * nr);
    sum[r][1] = p.first ? Vec{} : load(partial + r * nr + lanes);
  }
  if (p.last) {
    // The output is written (and the residual read) when the sums are done: ask for the lines now, so that they come while the sums are
    // made.
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const ptrdiff_t at = output(r) * static_cast<ptrdiff_t>(c_bytes);
      const char *to = static_cast<const char*>(p.c), *residual = static_cast<const char*>(e.residual);
      for (ptrdiff_t line = at; line < at + static_cast<ptrdiff_t>(nr * sizeof(float)); line += 64) {
        if (!(streams && e.stream)) prefetch(to + line);
        if (residual) prefetch(residual + line);
      }
    }
  }
  multiply<Rows>(p, a, b, sum);
  if (!p.last) {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) store(partial + r * nr, sum[r][0]), store(partial + r * nr + lanes, sum[r][1]);
    return;
  }
  if (e.stored != stored_f32) {
    float sums[Rows * nr];
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) store(sums + r * nr, sum[r][0]), store(sums + r * nr + lanes, sum[r][1]);
    return finish_sums(p, sums, nr, Rows, p.c_rows + i, j);
  }
  float* const c = static_cast<float*>(p.c);
  const size_t width = p.cols - j;
  if (width >= nr) {
    finish_tile<Rows>(e, sum, c, p.c_rows + i, j);
    const auto each = [&](const auto& put) __attribute__((always_inline)) {
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) put(c + output(r), sum[r][0]), put(c + output(r) + lanes, sum[r][1]);
    };
    if (streams && e.stream)
      each([](float* to, Vec v) __attribute__((always_inline)) { stream(to, v); });
    else
      each([](float* to, Vec v) __attribute__((always_inline)) { store(to, v); });
    return;
  }
  const auto finish_rows = [&](size_t n0, size_t n1) __attribute__((always_inline)) {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const ptrdiff_t at = output(r);
      finish(e, sum[r][0], c, at, j, n0);
      if (n1) finish(e, sum[r][1], c, at + static_cast<ptrdiff_t>(lanes), j + lanes, n1);
    }
  };
  if (width > lanes)
    finish_rows(lanes, width - lanes);
  else
    finish_rows(width, 0);
}

using Tile = void (*)(const BlockProduct&, const float*, const float*, float*, size_t, size_t);
constexpr Tile tile_of_rows[] = {nullptr, tile<1>, tile<2>, tile<3>,  tile<4>,  tile<5>, tile<6>,
#if DURA_TILE_ROWS == 12
                                 tile<7>, tile<8>, tile<9>, tile<10>, tile<11>, tile<12>
#endif
};
static_assert(sizeof(tile_of_rows) / sizeof(Tile) == mr + 1, "one tile function for each number of rows");

// f(t, panel) for each tile of a product. Row tiles outside write (and read a residual in) whole rows, as memory likes it, but need all of
// B again for each; where that would not stay in the second-level cache, panels are outside and the block of A streams past one of them.
template <class F>
DURA_INLINE void for_tiles(size_t tiles, size_t panels, size_t b_bytes, const F& f) {
  constexpr size_t kept_bytes = 256 << 10;
  if (b_bytes <= kept_bytes) {
    for (size_t t = 0; t < tiles; ++t)
      for (size_t panel = 0; panel < panels; ++panel) f(t, panel);
  } else {
    for (size_t panel = 0; panel < panels; ++panel)
      for (size_t t = 0; t < tiles; ++t) f(t, panel);
  }
}

// The rows are dealt to the tiles as evenly as can be: a tile of one or two rows waits for its own sums.
void block_product(const BlockProduct* product) {
  const BlockProduct p = *product;
  const size_t tiles = (p.rows + mr - 1) / mr, panels = (p.cols + nr - 1) / nr;
  for_tiles(tiles, panels, p.depth * p.cols * sizeof(float), [&](size_t t, size_t panel) {
    const size_t i = t * p.rows / tiles, end = (t + 1) * p.rows / tiles;
    tile_of_rows[end - i](p, p.a + static_cast<ptrdiff_t>(i) * p.a_row, p.b + static_cast<ptrdiff_t>(panel) * p.b_panel,
                          p.partial + (panel * tiles + t) * mr * nr, i, panel * nr);
  });
  if (streams && p.epilogue.stream) streamed();
}

// ---- Winograd F(4x4, 3x3): one-dimensional transforms, applied to columns and then to rows ----

// B^T d. What is fused with the multiplication by 5, the only one that rounds, is spelt out: every compiler gives the same bits.
DURA_INLINE void input_transform(const Vec (&d)[6], Vec (&t)[6]) {
  const Vec four = broadcast(4.0f), minus_five = broadcast(-5.0f);
  const Vec even = d[4] - 4.0f * d[2], odd = d[3] - 4.0f * d[1];
  const Vec even2 = d[4] - d[2], odd2 = 2.0f * (d[3] - d[1]);
  t[0] = fma(minus_five, d[2], 4.0f * d[0]) + d[4];
  t[1] = even + odd;
  t[2] = even - odd;
  t[3] = even2 + odd2;
  t[4] = even2 - odd2;
  t[5] = fma(four, d[1], minus_five * d[3]) + d[5];
}

// A^T m
DURA_INLINE void output_transform(const Vec (&m)[6], Vec (&y)[4]) {
  const Vec two = broadcast(2.0f), four = broadcast(4.0f), eight = broadcast(8.0f);
  const Vec sum1 = m[1] + m[2], difference1 = m[1] - m[2], sum2 = m[3] + m[4], difference2 = m[3] - m[4];
  y[0] = m[0] + sum1 + sum2;
  y[1] = fma(two, difference2, difference1);
  y[2] = fma(four, sum2, sum1);
  y[3] = fma(eight, difference2, difference1) + m[5];
}

// G g
DURA_INLINE void filter_transform(const Vec (&g)[3], Vec (&u)[6]) {
  const Vec sixth = broadcast(-1.0f / 6), part24 = broadcast(1.0f / 24), part12 = broadcast(1.0f / 12), part6 = broadcast(1.0f / 6);
  const Vec outer = sixth * (g[0] + g[2]), inner = sixth * g[1];
  const Vec outer2 = fma(part24, g[0], part6 * g[2]), inner2 = part12 * g[1];
  u[0] = 0.25f * g[0];
  u[1] = outer + inner;
  u[2] = outer - inner;
  u[3] = outer2 + inner2;
  u[4] = outer2 - inner2;
  u[5] = g[2];
}

// A y
DURA_INLINE void output_gradient_transform(const Vec (&y)[4], Vec (&t)[6]) {
  const Vec four = broadcast(4.0f), eight = broadcast(8.0f);
  const Vec even = y[0] + y[2], odd = y[1] + y[3];
  const Vec even2 = fma(four, y[2], y[0]), odd2 = fma(eight, y[3], 2.0f * y[1]);
  t[0] = y[0];
  t[1] = even + odd;
  t[2] = even - odd;
  t[3] = even2 + odd2;
  t[4] = even2 - odd2;
  t[5] = y[3];
}

// G^T m
DURA_INLINE void filter_gradient_transform(const Vec (&m)[6], Vec (&g)[3]) {
  const Vec quarter = broadcast(1.0f / 4), sixth = broadcast(1.0f / 6), part24 = broadcast(1.0f / 24), part12 = broadcast(1.0f / 12);
  const Vec sum1 = sixth * (m[1] + m[2]), sum2 = m[3] + m[4];
  g[0] = fma(part24, sum2, quarter * m[0] - sum1);
  g[1] = fma(part12, m[3] - m[4], sixth * (m[2] - m[1]));
  g[2] = fma(sixth, sum2, m[5]) + (Vec{} - sum1);
}

// Transforms patches of In x In values to Out x Out, for `lanes` neighbouring channels at a time: read(i, c, n) gives value i of channels
// [c, c+n), write(i, c, n, v) takes it.
template <int In, int Out, void (&transform)(const Vec (&)[In], Vec (&)[Out]), class Read, class Write>
DURA_INLINE void transform_patches(size_t channels, const Read& read, const Write& write) {
  for (size_t c = 0; c < channels; c += lanes) {
    const size_t n = channels - c < lanes ? channels - c : lanes;
    Vec half[Out][In];  // [row][column of the patch], rows transformed
    for (int column = 0; column < In; ++column) {
      Vec from[In], to[Out];
#pragma GCC unroll 6
      for (int r = 0; r < In; ++r) from[r] = read(In * r + column, c, n);
      transform(from, to);
#pragma GCC unroll 6
      for (int r = 0; r < Out; ++r) half[r][column] = to[r];
    }
    for (int r = 0; r < Out; ++r) {
      Vec to[Out];
      transform(half[r], to);
#pragma GCC unroll 6
      for (int column = 0; column < Out; ++column) write(Out * r + column, c, n, to[column]);
    }
  }
}

template <int In, void (&transform)(const Vec (&)[In], Vec (&)[6])>
void winograd_patch(const WinogradPatch* patch) {
  const WinogradPatch p = *patch;
  with_elements(
      p.stored, [&]<class E>(E*) __attribute__((always_inline)) {
        transform_patches<In, 6, transform>(
            p.channels,
            [&](int i, size_t c, size_t n) __attribute__((always_inline)) { return load(static_cast<const E*>(p.pixels[i]) + c, n); },
            [&](int f, size_t c, size_t n, Vec v) __attribute__((always_inline)) { store(p.v + f * p.v_step + c, n, v); });
      });
}

void winograd_output(const WinogradOutput* output) {
  const WinogradOutput p = *output;
  with_elements(
      p.epilogue.stored, [&]<class E>(E*) __attribute__((always_inline)) {
        transform_patches<6, 4, output_transform>(
            p.channels, [&](int f, size_t k, size_t n) __attribute__((always_inline)) { return load(p.m + f * p.m_step + k, n); },
            [&](int i, size_t k, size_t n, Vec v) __attribute__((always_inline)) {
              if (p.offsets[i] >= 0) finish(p.epilogue, v, static_cast<E*>(p.y), p.offsets[i] + static_cast<ptrdiff_t>(k), k, n);
            });
      });
}

template <int In, int Out, void (&transform)(const Vec (&)[In], Vec (&)[Out])>
void winograd_filter(const WinogradFilter* filter) {
  const WinogradFilter p = *filter;
  transform_patches<In, Out, transform>(
      p.channels, [&](int i, size_t c, size_t n) __attribute__((always_inline)) { return load(p.from + i * p.from_step + c, n); },
      [&](int i, size_t c, size_t n, Vec v) __attribute__((always_inline)) {
        float* const to = p.to + i * p.to_step + c;
        store(to, n, p.accumulate ? v + load(to, n) : v);
      });
}

void widen(const void* from, Stored stored, size_t count, float* to) {
  with_elements(
      stored, [&]<class E>(E*) __attribute__((always_inline)) {
        const E* p = static_cast<const E*>(from);
        for (size_t i = 0; i < count; i += lanes) {
          const size_t n = count - i < lanes ? count - i : lanes;
          store(to + i, n, load(p + i, n));
        }
      });
}

constexpr KernelSet kernel_set(const char* name, const Bf16Kernel& bf16 = {}) {
  return {.name = name,
          .mr = mr,
          .nr = nr,
          .block_product = block_product,
          .winograd_input = winograd_patch<6, input_transform>,
          .winograd_output = winograd_output,
          .winograd_filter = winograd_filter<3, 6, filter_transform>,
          .winograd_output_gradient = winograd_patch<4, output_gradient_transform>,
          .winograd_filter_gradient = winograd_filter<6, 3, filter_gradient_transform>,
          .rows = row_kernels,
          .widen = widen,
          .bf16 = bf16};
}
