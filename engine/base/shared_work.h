// Work on things in a row that several processes share, for code that knows nothing of processes (engine/comm gives it one): each does a
// part, and all of them get what everybody found.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <type_traits>
#include <vector>

namespace dura {

// Some of the things, one after the other.
struct Stretch {
  int64_t begin = 0, end = 0;
  int64_t size() const { return end - begin; }
};

struct SharedWork {
  int64_t part = 0, parts = 1;
  // Everybody's bytes, by part; all processes call it together. Not needed for one part.
  std::function<std::vector<std::string>(const std::string&)> gather = {};

  bool alone() const { return parts == 1; }
  bool is_first() const { return part == 0; }
  // The part of `count` things that is this one's: parts differ by one in size at most.
  Stretch own(int64_t count) const { return {part * count / parts, (part + 1) * count / parts}; }
  // The same of things that stay together in batches of `batch`, the last of which may be smaller.
  Stretch own_batches(int64_t count, int64_t batch) const {
    const Stretch s = own((count + batch - 1) / batch);
    return {std::min(s.begin * batch, count), std::min(s.end * batch, count)};
  }
  // All of everybody's values in a row, those of part 0 first.
  template <class T>
  requires std::is_trivially_copyable_v<T> std::vector<T> in_a_row(std::vector<T> own)
  const {
    if (alone()) return own;
    std::vector<T> all;
    for (const std::string& bytes : gather(std::string(reinterpret_cast<const char*>(own.data()), own.size() * sizeof(T)))) {
      const size_t before = all.size();
      all.resize(before + bytes.size() / sizeof(T));
      if (!bytes.empty()) std::memcpy(static_cast<void*>(all.data() + before), bytes.data(), bytes.size());
    }
    return all;
  }
};

}  // namespace dura
