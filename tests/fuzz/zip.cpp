#include <numeric>

#include "tests/fuzz/target.h"
#include "weights/zip.h"

using namespace dura;

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return test::survive([&] {
    size_t sum = 0;
    for (const ZipEntry& entry : read_zip({data, size}, "w"))
      sum += std::accumulate(entry.contents.begin(), entry.contents.end(), entry.name.size());
    [[maybe_unused]] static volatile size_t seen;
    seen = sum;
  });
}
