// What every fuzz target is: bytes come in, and they are read or refused with dura::Error. Any other exception, a sanitizer's finding, a
// hang or too much memory ends the process, which is what the fuzzer looks for. README.md says how to run them.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/base/check.h"
#include "weights/safetensors.h"

namespace dura::test {

template <class Read>
int survive(const Read& read) {
  try {
    read();
  } catch (const Error&) {
  }
  return 0;
}

inline SharedBytes shared(std::span<const uint8_t> bytes) {
  return std::make_shared<const std::vector<uint8_t>>(bytes.begin(), bytes.end());
}

// Reads every element, so that the sanitizer sees an array that reaches too far.
inline void touch(const StateDict& state) {
  for (const StateDict::Entry& entry : state.entries()) statistics(entry.array);
}

}  // namespace dura::test

// libFuzzer's entry: called for every input, with bytes that end where the sanitizer sees it.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
