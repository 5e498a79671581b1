// Sets of things that belong together, directly or through others (Galler and Fischer, "An improved equivalence algorithm", 1964).
#pragma once
#include <cstddef>
#include <numeric>
#include <vector>

namespace dura {

class DisjointSets {
 public:
  explicit DisjointSets(size_t count) : parent_(count) { std::iota(parent_.begin(), parent_.end(), size_t{0}); }
  // The same number for all members of a set.
  size_t find(size_t i) {
    while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
    return i;
  }
  void join(size_t a, size_t b) { parent_[find(a)] = find(b); }

 private:
  std::vector<size_t> parent_;
};

}  // namespace dura
