#include "tests/catch.h"

#include "engine/memory.h"

using namespace dura;

TEST_CASE("planned lifetimes that overlap in time never overlap in memory", "[memory]") {
  std::vector<Lifetime> lifetimes;
  uint64_t state = 7;
  for (int i = 0; i < 200; ++i) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    const uint64_t begin = (state >> 33) % 500, length = 1 + (state >> 20) % 60;
    lifetimes.push_back({64 * (1 + (state >> 45) % 100), 2 * begin, 2 * (begin + length) + 1, "t"});
  }
  const MemoryPlan plan = plan_memory(lifetimes);
  size_t overlaps = 0;
  for (size_t a = 0; a < lifetimes.size(); ++a)
    for (size_t b = 0; b < a; ++b) {
      const bool in_time = !(lifetimes[a].end < lifetimes[b].begin || lifetimes[b].end < lifetimes[a].begin);
      const bool in_memory =
          plan.offsets[a] < plan.offsets[b] + lifetimes[b].bytes && plan.offsets[b] < plan.offsets[a] + lifetimes[a].bytes;
      overlaps += in_time && in_memory;
    }
  CHECK(overlaps == 0);
  CHECK(plan.bytes >= plan.live_peak);
  CHECK(plan.bytes <= plan.live_peak * 5 / 4);
}
