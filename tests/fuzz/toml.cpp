// Configuration files: what was read is written and read again as the same.
#include "apps/program/toml.h"
#include "tests/fuzz/target.h"

using namespace dura;

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return test::survive([&] {
    for (const TomlEntry& entry : parse_toml({reinterpret_cast<const char*>(data), size}, "c")) {
      const std::vector<TomlEntry> again = parse_toml("k = " + toml_list(entry.values), "c");
      if (again.size() != 1 || again.front().values != entry.values) __builtin_trap();
    }
  });
}
