#include "tests/support/catch.h"

#include <cstdint>
#include <map>

#include "engine/base/large_memory.h"
#include "engine/core/memory.h"

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

TEST_CASE("a pool gives freed blocks back when much lies idle, or where that stops the device, when memory runs out", "[memory]") {
  constexpr size_t mib = size_t{1} << 20, of_device = 2048 * mib;
  for (const bool release_waits : {false, true}) {
    CAPTURE(release_waits);
    std::map<void*, size_t> held;
    size_t in_use = 0, released = 0;
    uintptr_t next = 4096;  // addresses that nobody reads
    CachingPool pool({[&](size_t bytes) -> void* {
                        if (in_use + bytes > of_device) return nullptr;
                        void* block = reinterpret_cast<void*>(next += 4096);
                        held[block] = bytes, in_use += bytes;
                        return block;
                      },
                      [&](void* block) { in_use -= held.at(block), held.erase(block), ++released; }, release_waits});
    std::vector<Block> blocks;
    for (const size_t size : {100, 200, 400, 800}) blocks.push_back(pool.allocate(size * mib, "layer"));
    for (const Block& b : blocks) pool.release(b);
    CHECK((released == 0) == release_waits);
    // Fits only without the idle blocks.
    const Block large = pool.allocate(1800 * mib, "another layer");
    CHECK(released == 4);
    CHECK(pool.statistics().reserved == large.bytes);
    CHECK_THROWS_WITH(pool.allocate(400 * mib, "one too many"), Catch::Contains("one too many"));
    pool.release(large);
    pool.reset_peak();
    CHECK(held.empty());
  }
}

TEST_CASE("large memory begins at a large page, small memory where it was asked to", "[memory]") {
  for (const size_t bytes : {size_t{1}, size_t{100}, (size_t{4} << 20) - 64, size_t{4} << 20, (size_t{5} << 20) + 1}) {
    void* const p = allocate_large(bytes, block_alignment);
    REQUIRE(p);
    const size_t alignment = bytes < size_t{4} << 20 ? block_alignment : size_t{2} << 20;
    CHECK(reinterpret_cast<uintptr_t>(p) % alignment == 0);
    static_cast<char*>(p)[bytes - 1] = 1;
    std::free(p);
  }
}
