// The kernels of one set, written once over a vector type. Each simd_*.cpp defines, in an unnamed namespace,
//   Vec, lanes, mr, load, store, load_part, store_part (the first n lanes; the others read as 0), broadcast (of what a pointer points to),
//   broadcast_value, zero, prefetch, fma (a*b+c), add, sub, mul, max, and the macro DURA_TILE_ROWS (= mr),
// and then includes this file there. Everything here has internal linkage: nothing may be shared between objects of different instruction
// sets. No include guard, no include: it is a part of the file that includes it.

constexpr size_t nr = 2 * lanes;

// The sums of one register tile: Rows x 2 vectors. `a` is read by broadcast, so that it needs no packing when its rows are contiguous.
template <int Rows>
inline __attribute__((always_inline)) void multiply(const BlockProduct& p, const float* a, const float* b, Vec (&sum)[Rows][2]) {
  // Groups of four rows share a pointer and the offsets 1, 2 and 3 rows: 12 separate pointers would not fit the integer registers.
  const float* group[(Rows + 3) / 4];
#pragma GCC unroll 4
  for (int g = 0; g < (Rows + 3) / 4; ++g) group[g] = a + 4 * g * p.a_row;
  const ptrdiff_t row = p.a_row, a_depth = p.a_depth, b_depth = p.b_depth;
  for (size_t d = p.depth; d != 0; --d) {
    const Vec b0 = load(b), b1 = load(b + lanes);
    b += b_depth;
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const Vec x = broadcast(group[r / 4] + (r % 4) * row);
      sum[r][0] = fma(x, b0, sum[r][0]);
      sum[r][1] = fma(x, b1, sum[r][1]);
    }
#pragma GCC unroll 4
    for (int g = 0; g < (Rows + 3) / 4; ++g) group[g] += a_depth;
  }
}

inline __attribute__((always_inline)) Vec finish(const BlockProduct& p, Vec v, ptrdiff_t row, size_t j, size_t n) {
  if (p.scale) v = mul(v, n == lanes ? load(p.scale + j) : load_part(p.scale + j, n));
  if (p.bias) v = add(v, n == lanes ? load(p.bias + j) : load_part(p.bias + j, n));
  if (p.residual) v = add(v, n == lanes ? load(p.residual + row + j) : load_part(p.residual + row + j, n));
  if (p.accumulate) v = add(v, n == lanes ? load(p.c + row + j) : load_part(p.c + row + j, n));
  return p.relu ? max(zero(), v) : v;  // in this order a NaN stays a NaN
}

template <int Rows>
void tile(const BlockProduct& p, const float* a, const float* b, float* partial, size_t i, size_t j) {
  Vec sum[Rows][2];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
    sum[r][0] = p.first ? zero() : load(partial + r * nr);
    sum[r][1] = p.first ? zero() : load(partial + r * nr + lanes);
  }
  if (p.last) {
    // The output is written (and the residual read) when the sums are done: ask for the lines now, so that they come while the sums are
    // made.
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const ptrdiff_t at = p.c_rows[i + r] + static_cast<ptrdiff_t>(j);
      prefetch(p.c + at), prefetch(p.c + at + lanes);
      if (p.residual) prefetch(p.residual + at), prefetch(p.residual + at + lanes);
    }
  }
  multiply<Rows>(p, a, b, sum);
  if (!p.last) {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) store(partial + r * nr, sum[r][0]), store(partial + r * nr + lanes, sum[r][1]);
    return;
  }
  const ptrdiff_t* rows = p.c_rows + i;
  const size_t width = p.cols - j;
  const bool plain = !(p.accumulate || p.scale || p.bias || p.residual || p.relu);
  if (width >= nr && plain) {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) store(p.c + rows[r] + j, sum[r][0]), store(p.c + rows[r] + j + lanes, sum[r][1]);
  } else if (width >= nr) {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      store(p.c + rows[r] + j, finish(p, sum[r][0], rows[r], j, lanes));
      store(p.c + rows[r] + j + lanes, finish(p, sum[r][1], rows[r], j + lanes, lanes));
    }
  } else {
    const size_t n0 = width < lanes ? width : lanes, n1 = width - n0;
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      store_part(p.c + rows[r] + j, n0, finish(p, sum[r][0], rows[r], j, n0));
      if (n1) store_part(p.c + rows[r] + j + lanes, n1, finish(p, sum[r][1], rows[r], j + lanes, n1));
    }
  }
}

using Tile = void (*)(const BlockProduct&, const float*, const float*, float*, size_t, size_t);
constexpr Tile tile_of_rows[] = {nullptr, tile<1>, tile<2>, tile<3>,  tile<4>,  tile<5>, tile<6>,
#if DURA_TILE_ROWS == 12
                                 tile<7>, tile<8>, tile<9>, tile<10>, tile<11>, tile<12>
#endif
};
static_assert(sizeof(tile_of_rows) / sizeof(Tile) == mr + 1, "one tile function for each number of rows");

// Panels outside, row tiles inside: a panel of B stays in the first cache levels while the (smaller) block of A streams past it.
void block_product(const BlockProduct* product) {
  const BlockProduct p = *product;
  float* partial = p.partial;
  for (size_t j = 0; j < p.cols; j += nr) {
    const float* b = p.b + static_cast<ptrdiff_t>(j / nr) * p.b_panel;
    const float* a = p.a;
    for (size_t i = 0; i < p.rows; i += mr, a += p.a_tile, partial += mr * nr) {
      const size_t rows = p.rows - i < mr ? p.rows - i : mr;
      tile_of_rows[rows](p, a, b, partial, i, j);
    }
  }
}

// ---- Winograd F(4x4, 3x3): one-dimensional transforms, applied to columns and then to rows ----

// B^T d
inline __attribute__((always_inline)) void input_transform(const Vec (&d)[6], Vec (&t)[6]) {
  const Vec two = broadcast_value(2.0f), four = broadcast_value(4.0f), five = broadcast_value(5.0f);
  const Vec even = sub(d[4], mul(four, d[2])), odd = sub(d[3], mul(four, d[1]));
  const Vec even2 = sub(d[4], d[2]), odd2 = mul(two, sub(d[3], d[1]));
  t[0] = add(sub(mul(four, d[0]), mul(five, d[2])), d[4]);
  t[1] = add(even, odd);
  t[2] = sub(even, odd);
  t[3] = add(even2, odd2);
  t[4] = sub(even2, odd2);
  t[5] = add(sub(mul(four, d[1]), mul(five, d[3])), d[5]);
}

// A^T m
inline __attribute__((always_inline)) void output_transform(const Vec (&m)[6], Vec (&y)[4]) {
  const Vec two = broadcast_value(2.0f), four = broadcast_value(4.0f), eight = broadcast_value(8.0f);
  const Vec sum1 = add(m[1], m[2]), difference1 = sub(m[1], m[2]), sum2 = add(m[3], m[4]), difference2 = sub(m[3], m[4]);
  y[0] = add(add(m[0], sum1), sum2);
  y[1] = fma(two, difference2, difference1);
  y[2] = fma(four, sum2, sum1);
  y[3] = add(fma(eight, difference2, difference1), m[5]);
}

// G g
inline __attribute__((always_inline)) void filter_transform(const Vec (&g)[3], Vec (&u)[6]) {
  const Vec quarter = broadcast_value(1.0f / 4), sixth = broadcast_value(-1.0f / 6), part24 = broadcast_value(1.0f / 24),
            part12 = broadcast_value(1.0f / 12), part6 = broadcast_value(1.0f / 6);
  const Vec outer = mul(sixth, add(g[0], g[2])), inner = mul(sixth, g[1]);
  const Vec outer2 = fma(part24, g[0], mul(part6, g[2])), inner2 = mul(part12, g[1]);
  u[0] = mul(quarter, g[0]);
  u[1] = add(outer, inner);
  u[2] = sub(outer, inner);
  u[3] = add(outer2, inner2);
  u[4] = sub(outer2, inner2);
  u[5] = g[2];
}

// A y
inline __attribute__((always_inline)) void output_gradient_transform(const Vec (&y)[4], Vec (&t)[6]) {
  const Vec two = broadcast_value(2.0f), four = broadcast_value(4.0f), eight = broadcast_value(8.0f);
  const Vec even = add(y[0], y[2]), odd = add(y[1], y[3]);
  const Vec even2 = fma(four, y[2], y[0]), odd2 = fma(eight, y[3], mul(two, y[1]));
  t[0] = y[0];
  t[1] = add(even, odd);
  t[2] = sub(even, odd);
  t[3] = add(even2, odd2);
  t[4] = sub(even2, odd2);
  t[5] = y[3];
}

// G^T m
inline __attribute__((always_inline)) void filter_gradient_transform(const Vec (&m)[6], Vec (&g)[3]) {
  const Vec quarter = broadcast_value(1.0f / 4), sixth = broadcast_value(1.0f / 6), part24 = broadcast_value(1.0f / 24),
            part12 = broadcast_value(1.0f / 12);
  const Vec sum1 = mul(sixth, add(m[1], m[2])), sum2 = add(m[3], m[4]);
  g[0] = fma(part24, sum2, sub(mul(quarter, m[0]), sum1));
  g[1] = fma(part12, sub(m[3], m[4]), mul(sixth, sub(m[2], m[1])));
  g[2] = add(fma(sixth, sum2, m[5]), sub(zero(), sum1));
}

void winograd_input(const WinogradInput* input) {
  const WinogradInput p = *input;
  for (size_t c = 0; c < p.channels; c += lanes) {
    const size_t n = p.channels - c < lanes ? p.channels - c : lanes;
    Vec half[6][6];  // [row][column of the patch], rows transformed
    for (int column = 0; column < 6; ++column) {
      Vec d[6], t[6];
#pragma GCC unroll 6
      for (int r = 0; r < 6; ++r) d[r] = n == lanes ? load(p.pixels[6 * r + column] + c) : load_part(p.pixels[6 * r + column] + c, n);
      input_transform(d, t);
#pragma GCC unroll 6
      for (int r = 0; r < 6; ++r) half[r][column] = t[r];
    }
    float* v = p.v + c;
    for (int r = 0; r < 6; ++r) {
      Vec t[6];
      input_transform(half[r], t);
#pragma GCC unroll 6
      for (int column = 0; column < 6; ++column, v += p.v_step) {
        if (n == lanes) {
          store(v, t[column]);
        } else {
          store_part(v, n, t[column]);
        }
      }
    }
  }
}

void winograd_output(const WinogradOutput* output) {
  const WinogradOutput p = *output;
  for (size_t k = 0; k < p.channels; k += lanes) {
    const size_t n = p.channels - k < lanes ? p.channels - k : lanes;
    const auto at = [&](const float* x) __attribute__((always_inline)) { return n == lanes ? load(x) : load_part(x, n); };
    Vec half[4][6];
    for (int column = 0; column < 6; ++column) {
      Vec m[6], y[4];
#pragma GCC unroll 6
      for (int r = 0; r < 6; ++r) m[r] = at(p.m + (6 * r + column) * p.m_step + static_cast<ptrdiff_t>(k));
      output_transform(m, y);
#pragma GCC unroll 4
      for (int r = 0; r < 4; ++r) half[r][column] = y[r];
    }
    const Vec scale = p.scale ? at(p.scale + k) : zero(), bias = p.bias ? at(p.bias + k) : zero();
    for (int r = 0; r < 4; ++r) {
      Vec y[4];
      output_transform(half[r], y);
#pragma GCC unroll 4
      for (int column = 0; column < 4; ++column) {
        const ptrdiff_t offset = p.offsets[4 * r + column];
        if (offset < 0) continue;
        float* target = p.y + offset + k;
        Vec v = p.scale ? mul(y[column], scale) : y[column];
        if (p.bias) v = add(v, bias);
        if (p.residual) v = add(v, at(p.residual + offset + k));
        if (p.accumulate) v = add(v, at(target));
        if (p.relu) v = max(zero(), v);
        if (n == lanes) {
          store(target, v);
        } else {
          store_part(target, n, v);
        }
      }
    }
  }
}

void winograd_filter(const WinogradFilter* filter) {
  const WinogradFilter p = *filter;
  for (size_t i = 0; i < p.count; i += lanes) {
    const size_t n = p.count - i < lanes ? p.count - i : lanes;
    Vec half[6][3];
    for (int s = 0; s < 3; ++s) {
      Vec g[3], u[6];
#pragma GCC unroll 3
      for (int r = 0; r < 3; ++r) {
        const float* tap = p.taps + (3 * r + s) * p.taps_step + static_cast<ptrdiff_t>(i);
        g[r] = n == lanes ? load(tap) : load_part(tap, n);
      }
      filter_transform(g, u);
#pragma GCC unroll 6
      for (int r = 0; r < 6; ++r) half[r][s] = u[r];
    }
    float* target = p.u + i;
    for (int r = 0; r < 6; ++r) {
      Vec u[6];
      filter_transform(half[r], u);
#pragma GCC unroll 6
      for (int s = 0; s < 6; ++s, target += p.u_step) {
        if (n == lanes) {
          store(target, u[s]);
        } else {
          store_part(target, n, u[s]);
        }
      }
    }
  }
}

void winograd_output_gradient(const WinogradOutputGradient* gradient) {
  const WinogradOutputGradient p = *gradient;
  for (size_t k = 0; k < p.channels; k += lanes) {
    const size_t n = p.channels - k < lanes ? p.channels - k : lanes;
    Vec half[6][4];
    for (int column = 0; column < 4; ++column) {
      Vec y[4], t[6];
#pragma GCC unroll 4
      for (int r = 0; r < 4; ++r) y[r] = n == lanes ? load(p.pixels[4 * r + column] + k) : load_part(p.pixels[4 * r + column] + k, n);
      output_gradient_transform(y, t);
#pragma GCC unroll 6
      for (int r = 0; r < 6; ++r) half[r][column] = t[r];
    }
    float* v = p.v + k;
    for (int r = 0; r < 6; ++r) {
      Vec t[6];
      output_gradient_transform(half[r], t);
#pragma GCC unroll 6
      for (int column = 0; column < 6; ++column, v += p.v_step) {
        if (n == lanes) {
          store(v, t[column]);
        } else {
          store_part(v, n, t[column]);
        }
      }
    }
  }
}

void winograd_filter_gradient(const WinogradFilterGradient* gradient) {
  const WinogradFilterGradient p = *gradient;
  for (size_t c = 0; c < p.channels; c += lanes) {
    const size_t n = p.channels - c < lanes ? p.channels - c : lanes;
    Vec half[3][6];
    for (int column = 0; column < 6; ++column) {
      Vec m[6], g[3];
#pragma GCC unroll 6
      for (int r = 0; r < 6; ++r) {
        const float* source = p.m + (6 * r + column) * p.m_step + static_cast<ptrdiff_t>(c);
        m[r] = n == lanes ? load(source) : load_part(source, n);
      }
      filter_gradient_transform(m, g);
#pragma GCC unroll 3
      for (int r = 0; r < 3; ++r) half[r][column] = g[r];
    }
    float* tap = p.taps + c;
    for (int r = 0; r < 3; ++r) {
      Vec g[3];
      filter_gradient_transform(half[r], g);
#pragma GCC unroll 3
      for (int s = 0; s < 3; ++s, tap += p.taps_step) {
        if (n == lanes) {
          store(tap, p.accumulate ? add(g[s], load(tap)) : g[s]);
        } else {
          store_part(tap, n, p.accumulate ? add(g[s], load_part(tap, n)) : g[s]);
        }
      }
    }
  }
}
