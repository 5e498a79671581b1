// Pictures: PNG files whose checksums are right, as they stop nearly every change before the decoder sees it.
#include "data/image/codec.h"
#include "tests/fuzz/target.h"
#include "tests/support/png_checksums.h"

using namespace dura;

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<uint8_t> bytes(data, data + size);
  test::repair_checksums(bytes);
  return test::survive([&] { decode_image(bytes, "p", {.max_side = 512}); });
}
