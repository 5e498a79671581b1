// Counter-based random bits, and the mixing of keys: the same function on every device. A CUDA translation unit sees them as device code.
#pragma once
#include <cstdint>

#if defined(__CUDACC__)
#define DURA_HOST_DEVICE __host__ __device__
#else
#define DURA_HOST_DEVICE
#endif

namespace dura::formula {

struct Philox4 {
  uint32_t v[4];
};

// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a keyed bijection of the counter.
DURA_HOST_DEVICE inline Philox4 philox(uint64_t key, uint64_t counter_high, uint64_t counter_low) {
  uint32_t c0 = static_cast<uint32_t>(counter_low), c1 = static_cast<uint32_t>(counter_low >> 32);
  uint32_t c2 = static_cast<uint32_t>(counter_high), c3 = static_cast<uint32_t>(counter_high >> 32);
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = 0xD2511F53ull * c0, p1 = 0xCD9E8D57ull * c2;
    const uint32_t n0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0, n2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c0 = n0, c1 = static_cast<uint32_t>(p1), c2 = n2, c3 = static_cast<uint32_t>(p0);
    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

// [0, 1) with 24 random bits: exact in f32.
DURA_HOST_DEVICE inline float uniform01(uint32_t bits) { return static_cast<float>(bits >> 8) * 0x1p-24f; }

// splitmix64's finaliser: a good 64-bit mixing function.
DURA_HOST_DEVICE inline uint64_t mix64(uint64_t x) {
  x += 0x9E3779B97F4A7C15ull;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return x ^ (x >> 31);
}

// The 64-bit row key from the two words of an i32 (N,2) tensor.
DURA_HOST_DEVICE inline uint64_t join_words(int32_t low, int32_t high) {
  return (static_cast<uint64_t>(static_cast<uint32_t>(high)) << 32) | static_cast<uint32_t>(low);
}

// Element `index` of a row takes word index%4 of Philox block index/4.
DURA_HOST_DEVICE inline bool dropout_keeps(uint64_t key, uint64_t row_key, uint64_t index, float p) {
  return uniform01(philox(key, row_key, index / 4).v[index % 4]) >= p;
}

}  // namespace dura::formula
