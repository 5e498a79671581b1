// The files of torch.save, both containers.
#include "tests/fuzz/target.h"
#include "weights/pth.h"

using namespace dura;

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return test::survive([&] { test::touch(parse_pth(test::shared({data, size}), "w")); });
}
