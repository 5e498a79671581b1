// Pictures: JPEG files, and whatever else begins as one.
#include "data/image/codec.h"
#include "tests/fuzz/target.h"

using namespace dura;

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return test::survive([&] { decode_image({data, size}, "p", {.max_side = 512}); });
}
