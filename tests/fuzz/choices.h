// Decisions out of a fuzzer's bytes, taken from the front. Where the bytes have run out, all of them are zero or empty.
#pragma once
#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

namespace dura::test {

class Choices {
 public:
  explicit Choices(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  template <class T>
  T number() {
    T value{};
    const auto taken = take(sizeof value);
    std::memcpy(&value, taken.data(), taken.size());
    return value;
  }
  size_t below(size_t count) { return number<uint8_t>() % count; }  // at most 256
  bool flag() { return below(2) == 1; }
  template <class T, size_t n>
  const T& of(const T (&values)[n]) {
    return values[below(n)];
  }
  std::string text(size_t most) {
    const auto taken = take(std::min<size_t>(number<uint8_t>(), most));
    return {taken.begin(), taken.end()};
  }
  std::span<const uint8_t> take(size_t count) {
    const auto taken = bytes_.first(std::min(count, bytes_.size()));
    bytes_ = bytes_.subspan(taken.size());
    return taken;
  }
  std::span<const uint8_t> rest() const { return bytes_; }

 private:
  std::span<const uint8_t> bytes_;
};

}  // namespace dura::test
