// Model files. On the device that has no bytes, so that a network costs nothing; names, extents and metadata are checked as everywhere.
#include "models/network/model_file.h"
#include "tests/fuzz/target.h"

using namespace dura;

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return test::survive([&] { parse_model({data, size}, "m", {.device = Device::meta}); });
}
