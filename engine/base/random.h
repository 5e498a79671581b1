// Random numbers by counter: a number depends on (key, counter) alone, never on who asked first.
#pragma once
#include <cmath>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/philox.h"

namespace dura {

// FNV-1a: names (of modules, of purposes) become key material.
inline uint64_t hash_name(std::string_view name) {
  uint64_t h = 0xcbf29ce484222325ull;
  for (char c : name) h = (h ^ static_cast<uint8_t>(c)) * 0x100000001b3ull;
  return h;
}

// The key of one stream: the run's seed, and what the numbers are for ("dropout", "shuffle", a parameter's name).
inline uint64_t random_key(uint64_t seed, std::string_view purpose) { return formula::mix64(formula::mix64(seed) ^ hash_name(purpose)); }

// The identity of one training example in one epoch: dropout and augmentation draw from it.
inline uint64_t make_row_key(uint64_t sample, uint64_t epoch, uint64_t variant) {
  return formula::mix64(formula::mix64(formula::mix64(sample) + epoch) + variant);
}

// A sequence of numbers from one (key, index) pair, for host code: shuffles, augmentation parameters, initialisers.
class Random {
 public:
  explicit Random(uint64_t key, uint64_t index = 0) : key_(key), index_(index) {}

  uint32_t next_u32() {
    if (used_ == 4) block_ = formula::philox(key_, index_, counter_++), used_ = 0;
    return block_.v[used_++ & 3];  // & 3: lets the compiler see that it stays inside
  }
  double uniform() {  // [0, 1), 53 bits
    const uint64_t high = next_u32() >> 5, low = next_u32() >> 6;
    return static_cast<double>((high << 26) | low) * 0x1p-53;
  }
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  bool chance(double p) { return uniform() < p; }
  uint64_t below(uint64_t n) {  // unbiased: [0, n)
    DURA_CHECK(n > 0, "Random::below needs a positive bound");
    const uint64_t limit = n * (UINT64_MAX / n);
    for (;;) {
      const uint64_t high = next_u32(), v = (high << 32) | next_u32();
      if (v < limit) return v % n;
    }
  }
  double normal() {  // Box and Muller, one of the pair
    const double u = 1.0 - uniform(), v = uniform();
    return std::sqrt(-2.0 * std::log(u)) * std::cos(6.283185307179586 * v);
  }
  template <class T>
  void shuffle(std::vector<T>& items) {  // Fisher and Yates
    for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(i)]);
  }

 private:
  uint64_t key_, index_, counter_ = 0;
  formula::Philox4 block_{};
  int used_ = 4;
};

}  // namespace dura
