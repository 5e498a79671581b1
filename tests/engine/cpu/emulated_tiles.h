// AMX's tiles in plain C++, under the names of the compilers' intrinsics: LDTILECFG, TILERELEASE, TILELOADD, TILESTORED, TILEZERO and
// TDPBF16PS as the Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, defines them. What the processor answers with an
// exception is an Error.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "engine/base/check.h"

namespace dura::emulated_tiles {

struct Tiles {
  struct Configuration {
    uint8_t palette = 0, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {};
    uint8_t rows[16] = {};
  } configuration;
  unsigned char bytes[8][16][64] = {};
};
static_assert(sizeof(Tiles::Configuration) == 64);
inline thread_local Tiles tiles;  // as registers are

inline void check_tile(int t) {
  const Tiles::Configuration& c = tiles.configuration;
  DURA_CHECK(c.palette == 1 && c.rows[t] >= 1 && c.rows[t] <= 16 && c.row_bytes[t] >= 4 && c.row_bytes[t] <= 64 && c.row_bytes[t] % 4 == 0,
             "tile ", t, " is used, but it is not configured on this thread");
}

inline void _tile_loadconfig(const void* from) {
  tiles = {};
  std::memcpy(&tiles.configuration, from, sizeof tiles.configuration);
  for (int t = 0; t < 8; ++t) check_tile(t);
}
inline void _tile_release() { tiles = {}; }

inline void _tile_zero(int t) {
  check_tile(t);
  std::memset(tiles.bytes[t], 0, sizeof tiles.bytes[t]);
}
inline void _tile_loadd(int t, const void* from, size_t stride) {
  _tile_zero(t);
  for (size_t r = 0; r < tiles.configuration.rows[t]; ++r)
    std::memcpy(tiles.bytes[t][r], static_cast<const char*>(from) + r * stride, tiles.configuration.row_bytes[t]);
}
inline void _tile_stored(int t, void* to, size_t stride) {
  check_tile(t);
  for (size_t r = 0; r < tiles.configuration.rows[t]; ++r)
    std::memcpy(static_cast<char*>(to) + r * stride, tiles.bytes[t][r], tiles.configuration.row_bytes[t]);
}

// DAZ: zero where a number is subnormal.
inline float flushed(float f) { return std::fpclassify(f) == FP_SUBNORMAL ? std::copysign(0.0f, f) : f; }
// The number whose upper half the bits are.
inline float number(uint16_t bits) {
  const uint32_t wide = uint32_t{bits} << 16;
  float f;
  std::memcpy(&f, &wide, sizeof f);
  return flushed(f);
}
// Rounds to f32, nearest even, and FTZ: what is subnormal when it is rounded becomes zero. A sum of two floats, or of a float and a product
// of two bf16 numbers, is so close to exact in double that rounding it again gives what rounding once would.
inline float rounded(double exact) {
  constexpr double smallest = std::numeric_limits<float>::min();
  return std::abs(exact) < smallest * (1 - 0x1p-25) ? std::copysign(0.0f, static_cast<float>(exact)) : static_cast<float>(exact);
}

// Each row of A times B: the first and the second numbers of the pairs are summed apart, both sums are added, and then to the tile.
inline void _tile_dpbf16ps(int sums, int a, int b) {
  for (const int t : {sums, a, b}) check_tile(t);
  const Tiles::Configuration& c = tiles.configuration;
  const size_t columns = c.row_bytes[sums] / 4, pairs = c.row_bytes[a] / 4;
  DURA_CHECK(c.rows[a] == c.rows[sums] && c.rows[b] == pairs && c.row_bytes[b] == c.row_bytes[sums] && a != b && sums != a && sums != b,
             "TDPBF16PS of tiles whose shapes do not fit, or twice of one tile");
  float factors[16][2][16] = {};  // of B: pair, first or second, column
  for (size_t k = 0; k < pairs; ++k)
    for (size_t n = 0; n < columns; ++n) {
      uint16_t pair[2];
      std::memcpy(pair, tiles.bytes[b][k] + 4 * n, sizeof pair);
      factors[k][0][n] = number(pair[0]), factors[k][1][n] = number(pair[1]);
    }
  for (size_t m = 0; m < c.rows[sums]; ++m) {
    float parts[2][16] = {}, row[16] = {};
    std::memcpy(row, tiles.bytes[sums][m], 4 * columns);
    for (size_t k = 0; k < pairs; ++k) {
      uint16_t pair[2];
      std::memcpy(pair, tiles.bytes[a][m] + 4 * k, sizeof pair);
      for (size_t i = 0; i < 2; ++i) {
        const double x = static_cast<double>(number(pair[i]));
        for (size_t n = 0; n < 16; ++n) parts[i][n] = rounded(static_cast<double>(parts[i][n]) + x * static_cast<double>(factors[k][i][n]));
      }
    }
    for (size_t n = 0; n < columns; ++n) {
      const float both = rounded(static_cast<double>(parts[0][n]) + static_cast<double>(parts[1][n]));
      row[n] = rounded(static_cast<double>(flushed(row[n])) + static_cast<double>(both));
    }
    std::memcpy(tiles.bytes[sums][m], row, 4 * columns);
  }
}

}  // namespace dura::emulated_tiles
