#include "tests/support/catch.h"
#include <string>

#include "engine/base/crc32.h"

using namespace dura;

TEST_CASE("CRC-32 of the published check messages, however they are cut", "[crc32]") {
  CHECK(crc32("", 0) == 0);
  CHECK(crc32("123456789", 9) == 0xcbf43926u);
  const std::string text = "The quick brown fox jumps over the lazy dog";
  CHECK(crc32(text.data(), text.size()) == 0x414fa339u);
  for (size_t cut = 0; cut <= text.size(); ++cut)
    CHECK(crc32(text.data() + cut, text.size() - cut, crc32(text.data(), cut)) == 0x414fa339u);
}
