// Plans of cuDNN behind a right sum and key: what was read is written and read again as the same.
#include "engine/base/sha256.h"
#include "engine/cuda/plan_folder.h"
#include "tests/fuzz/target.h"

using namespace dura;

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return test::survive([&] {
    const std::string contents = "key\n" + std::string(reinterpret_cast<const char*>(data), size);
    const cuda::KeptPlan plan = cuda::read_plan(concat("dura plan 1\n", sha256_hex(contents), "\n", contents), "key\n", "p");
    if (!(cuda::read_plan(cuda::plan_text("key\n", plan), "key\n", "p") == plan)) __builtin_trap();
  });
}
