// The checksums of a PNG made right again after its bytes were changed: without this no damage would come as far as the decoder.
#pragma once
#include <cstdint>
#include <vector>

#include "engine/base/crc32.h"

namespace dura::test {

inline void repair_checksums(std::vector<uint8_t>& png) {
  for (size_t at = 8; at + 12 <= png.size();) {
    size_t length = 0;
    for (size_t i = 0; i < 4; ++i) length = length << 8 | png[at + i];
    if (length > png.size() - at - 12) break;
    const uint32_t crc = crc32(&png[at + 4], length + 4);
    for (size_t i = 0; i < 4; ++i) png[at + 8 + length + i] = static_cast<uint8_t>(crc >> (24 - 8 * i));
    at += length + 12;
  }
}

}  // namespace dura::test
