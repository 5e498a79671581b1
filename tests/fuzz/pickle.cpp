// A pickle by itself, and as the state dict of a .pth file whose checksums are right: inside of a container they would stop nearly every
// change before the pickle is read.
#include "tests/fuzz/target.h"
#include "tests/support/weight_files.h"
#include "weights/pickle.h"
#include "weights/pth.h"

using namespace dura;

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  test::survive([&] { read_pickle({data, size}, "w"); });
  return test::survive([&] {
    const std::string file = test::pth_text({reinterpret_cast<const char*>(data), size}, std::string(64, '\x3f'));
    test::touch(parse_pth(test::shared(file), "w"));
  });
}
