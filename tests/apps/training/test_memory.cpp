#include "tests/support/catch.h"

#include <vector>

#include "apps/program/process.h"

using namespace dura;

TEST_CASE("peak memory grows with what is touched and does not shrink when it is freed", "[training]") {
  constexpr size_t block = size_t{64} << 20;
  constexpr int64_t slack = int64_t{1} << 20;  // the kernel counts pages per processor and adds them up late
  const int64_t before = peak_resident_bytes();
  CHECK(before > 0);
  std::vector<char> touched(static_cast<size_t>(before) + block, 1);  // more than all that was resident so far
  CHECK(touched[touched.size() / 2] == 1);
  const int64_t with_block = peak_resident_bytes();
  CHECK(with_block >= before + static_cast<int64_t>(block) - slack);
  std::vector<char>().swap(touched);
  CHECK(peak_resident_bytes() >= with_block - slack);
}
