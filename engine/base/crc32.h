// CRC-32 as in PNG and ZIP: reflected polynomial 0xEDB88320, initial value and final exclusive-or all ones (ISO 3309, ITU-T V.42).
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

namespace dura {

// `crc` is the value of the bytes before these, so that long data can be summed in pieces; 0 to begin.
// Eight bytes a round, as a weight file has hundreds of megabytes: tables[k][b] is the remainder of byte b followed by k zero bytes
// (Kounavis and Berry, "A systematic approach to building high performance software-based CRC generators", 2005).
inline uint32_t crc32(const void* data, size_t bytes, uint32_t crc = 0) {
  static constexpr auto tables = [] {
    std::array<std::array<uint32_t, 256>, 8> t{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t v = i;
      for (int bit = 0; bit < 8; ++bit) v = (v >> 1) ^ ((v & 1u) ? 0xEDB88320u : 0u);
      t[0][i] = v;
    }
    for (size_t k = 1; k < 8; ++k)
      for (size_t i = 0; i < 256; ++i) t[k][i] = (t[k - 1][i] >> 8) ^ t[0][t[k - 1][i] & 0xFFu];
    return t;
  }();
  const uint8_t* p = static_cast<const uint8_t*>(data);
  crc = ~crc;
  for (; bytes >= 8; bytes -= 8, p += 8) {
    crc ^= uint32_t{p[0]} | uint32_t{p[1]} << 8 | uint32_t{p[2]} << 16 | uint32_t{p[3]} << 24;
    crc = tables[7][crc & 0xFFu] ^ tables[6][(crc >> 8) & 0xFFu] ^ tables[5][(crc >> 16) & 0xFFu] ^ tables[4][crc >> 24] ^ tables[3][p[4]] ^
          tables[2][p[5]] ^ tables[1][p[6]] ^ tables[0][p[7]];
  }
  for (; bytes > 0; --bytes) crc = (crc >> 8) ^ tables[0][(crc ^ *p++) & 0xFFu];
  return ~crc;
}

}  // namespace dura
