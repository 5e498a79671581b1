// Products of bf16 numbers with f32 sums by AMX's tiles: 16 rows of 16 pairs times 16 pairs of 16 columns in one instruction. A part of the
// file that includes it, behind simd_epilogue.h, and there are the intrinsics _tile_...: those of <immintrin.h>, or an emulation
// (tests/engine/cpu/emulated_amx.cpp).
//
// Sums lie in the tiles 0 to 3 (two by two), two tiles of A in 4 and 5, two of B in 6 and 7. B's panels are as they must be. So is A where
// its rows are contiguous and 32 of them are whole tiles; else a copy is made, filled up with zeros.

constexpr size_t tile_rows = 16, tile_pairs = 16, mr = 2 * tile_rows, nr = 32;
struct Pair {
  Bf16 two[2];
};

// What LDTILECFG reads: all eight tiles have 16 rows of 64 bytes.
struct alignas(64) TileConfiguration {
  unsigned char palette, start_row, reserved[14];
  unsigned short row_bytes[16];
  unsigned char rows[16];
};
constexpr TileConfiguration configuration = {1, 0, {}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};

// The compiler does not know that the instructions read memory: what was stored before this is there for them.
inline void stores_done() { asm volatile("" ::: "memory"); }

constexpr size_t line = 64;  // bytes of a row of a tile

// Rows [i, i + rows) of A, filled up with zeros to `mr` rows and whole tiles of pairs.
struct RowsOfA {
  Pair pairs[mr][bf16_most_pairs];
};
void copy_rows(const Bf16Product& p, size_t i, size_t rows, RowsOfA& to) {
  const size_t whole = (p.pairs + tile_pairs - 1) / tile_pairs * tile_pairs;
  const auto at = [&](size_t r, size_t d) { return p.a + static_cast<ptrdiff_t>(i + r) * p.a_row + static_cast<ptrdiff_t>(d) * p.a_pair; };
  // Four rows of four pairs at a time, transposed in registers, where pairs of neighbouring rows are neighbours.
  typedef int Four __attribute__((vector_size(16), aligned(2), may_alias));
  const size_t rows4 = p.a_row == 2 ? rows / 4 * 4 : 0, pairs4 = p.a_row == 2 ? p.pairs / 4 * 4 : 0;
  for (size_t d = 0; d < pairs4; d += 4)
    for (size_t r = 0; r < rows4; r += 4) {
      Four in[4];
      for (size_t k = 0; k < 4; ++k) in[k] = *reinterpret_cast<const Four*>(at(r, d + k));
      const Four low01 = __builtin_shufflevector(in[0], in[1], 0, 4, 1, 5), high01 = __builtin_shufflevector(in[0], in[1], 2, 6, 3, 7);
      const Four low23 = __builtin_shufflevector(in[2], in[3], 0, 4, 1, 5), high23 = __builtin_shufflevector(in[2], in[3], 2, 6, 3, 7);
      const Four out[4] = {__builtin_shufflevector(low01, low23, 0, 1, 4, 5), __builtin_shufflevector(low01, low23, 2, 3, 6, 7),
                           __builtin_shufflevector(high01, high23, 0, 1, 4, 5), __builtin_shufflevector(high01, high23, 2, 3, 6, 7)};
      for (size_t k = 0; k < 4; ++k) *reinterpret_cast<Four*>(&to.pairs[r + k][d]) = out[k];
    }
  for (size_t r = 0; r < rows; ++r) {
    size_t d = r < rows4 ? pairs4 : 0;
    if (p.a_pair == 2) {
      __builtin_memcpy(&to.pairs[r][d], at(r, d), (p.pairs - d) * sizeof(Pair));
    } else {
      for (; d < p.pairs; ++d) __builtin_memcpy(&to.pairs[r][d], at(r, d), sizeof(Pair));
    }
    __builtin_memset(&to.pairs[r][p.pairs], 0, (whole - p.pairs) * sizeof(Pair));
  }
  for (size_t r = rows; r < mr; ++r) __builtin_memset(to.pairs[r], 0, whole * sizeof(Pair));
}

// Adds the products of 16 pairs: `two` tiles of rows, or one. Strides in bytes.
DURA_INLINE void add_products(bool two, const char* a, size_t a_row, const char* b, size_t b_pair) {
  _tile_loadd(6, b, b_pair);
  _tile_loadd(7, b + line, b_pair);
  _tile_loadd(4, a, a_row);
  _tile_dpbf16ps(0, 4, 6);
  _tile_dpbf16ps(1, 4, 7);
  if (!two) return;
  _tile_loadd(5, a + tile_rows * a_row, a_row);
  _tile_dpbf16ps(2, 5, 6);
  _tile_dpbf16ps(3, 5, 7);
}

// The sums of one register tile: `two` tiles of rows, or one, times the panel `b`. They go on from `from`, where it is not null, to `to`.
void sums_of_tile(const Bf16Product& p, bool two, const char* a, size_t a_row, const Bf16* b, const float* from, float* to) {
  constexpr size_t row = nr * sizeof(float);
  if (from) {
    _tile_loadd(0, from, row);
    _tile_loadd(1, from + tile_rows, row);
    _tile_loadd(2, from + tile_rows * nr, row);
    _tile_loadd(3, from + tile_rows * nr + tile_rows, row);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  const size_t b_pair = static_cast<size_t>(p.b_pair) * sizeof(Bf16);
  const char* panel = reinterpret_cast<const char*>(b);
  size_t left = p.pairs;
  for (; left >= tile_pairs; left -= tile_pairs, a += line, panel += tile_pairs * b_pair) add_products(two, a, a_row, panel, b_pair);
  if (left > 0) {  // what lies behind the last pair is another panel, or nothing: it must not meet the zeros of A as what is not a number
    Pair rest[tile_pairs][nr];
    for (size_t d = 0; d < left; ++d) __builtin_memcpy(rest[d], panel + d * b_pair, sizeof rest[d]);
    __builtin_memset(rest[left], 0, (tile_pairs - left) * sizeof rest[0]);
    stores_done();
    add_products(two, a, a_row, reinterpret_cast<const char*>(rest), sizeof rest[0]);
  }
  _tile_stored(0, to, row);
  _tile_stored(1, to + tile_rows, row);
  _tile_stored(2, to + tile_rows * nr, row);
  _tile_stored(3, to + tile_rows * nr + tile_rows, row);
}

// Row tiles outside, panels inside: what is copied of A is copied once.
void bf16_product(const Bf16Product* product) {
  const Bf16Product p = *product;
  _tile_loadconfig(&configuration);  // of this thread, until the release
  RowsOfA copy;
  float* partial = p.partial;
  for (size_t i = 0; i < p.rows; i += mr) {
    const size_t rows = p.rows - i < mr ? p.rows - i : mr;
    const bool whole = p.a_pair == 2 && rows % tile_rows == 0 && p.pairs % tile_pairs == 0;
    if (!whole) copy_rows(p, i, rows, copy);
    const char* const a =
        whole ? reinterpret_cast<const char*>(p.a + static_cast<ptrdiff_t>(i) * p.a_row) : reinterpret_cast<const char*>(copy.pairs);
    const size_t a_row = whole ? static_cast<size_t>(p.a_row) * sizeof(Bf16) : sizeof copy.pairs[0];
    for (size_t j = 0; j < p.cols; j += nr, partial += mr * nr) {
      float last[mr * nr];
      if (p.last && p.epilogue.stored != stored_f32) prefetch_output(p, p.c_rows + i, rows, j);
      stores_done();
      sums_of_tile(p, rows > tile_rows, a, a_row, p.b + static_cast<ptrdiff_t>(j / nr) * p.b_panel, p.first ? nullptr : partial,
                   p.last ? last : partial);
      if (p.last) finish_sums(p, last, nr, rows, p.c_rows + i, j);
    }
  }
  _tile_release();
}
