// CRC-32 as in PNG and ZIP: reflected polynomial 0xEDB88320, initial value and final exclusive-or all ones (ISO 3309, ITU-T V.42).
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

namespace dura {

// `crc` is the value of the bytes before these, so that long data can be summed in pieces; 0 to begin.
inline uint32_t crc32(const void* data, size_t bytes, uint32_t crc = 0) {
  static constexpr auto table = [] {
    std::array<uint32_t, 256> t{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t v = i;
      for (int bit = 0; bit < 8; ++bit) v = (v >> 1) ^ ((v & 1u) ? 0xEDB88320u : 0u);
      t[i] = v;
    }
    return t;
  }();
  crc = ~crc;
  for (const uint8_t* p = static_cast<const uint8_t*>(data); bytes > 0; --bytes) crc = (crc >> 8) ^ table[(crc ^ *p++) & 0xFFu];
  return ~crc;
}

}  // namespace dura
