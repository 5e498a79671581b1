#include "tests/fuzz/target.h"

using namespace dura;

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return test::survive([&] {
    const StateDict state = parse_safetensors(std::span(data, size), nullptr, "w");
    test::touch(state);
    test::survive([&] { require_finite(state, "w"); });
  });
}
