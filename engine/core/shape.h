// The size of a dense tensor in each of up to four dimensions, outermost first. Images are (N,H,W,C), filters (K,R,S,C).
#pragma once
#include <array>
#include <cstdint>
#include <initializer_list>
#include <ostream>
#include <span>

#include "engine/base/check.h"

namespace dura {

class Shape {
 public:
  static constexpr int max_rank = 4;

  Shape() = default;  // rank 0: a scalar, one element
  Shape(std::initializer_list<int64_t> sizes) : Shape(std::span(sizes.begin(), sizes.size())) {}
  explicit Shape(std::span<const int64_t> sizes) {
    DURA_CHECK(sizes.size() <= max_rank, "a tensor has at most 4 dimensions, ", sizes.size(), " were given");
    for (int64_t e : sizes) {
      DURA_CHECK(e >= 0, "a dimension cannot be negative, got ", e);
      sizes_[rank_++] = e;
    }
  }

  int rank() const { return rank_; }
  std::span<const int64_t> sizes() const { return {sizes_.data(), static_cast<size_t>(rank_)}; }
  int64_t operator[](int i) const {
    DURA_CHECK(i >= 0 && i < rank_, "dimension ", i, " of a tensor of rank ", rank_, " was asked for");
    return sizes_[i];
  }
  int64_t numel() const {
    int64_t n = 1;
    for (int i = 0; i < rank_; ++i) n *= sizes_[i];
    return n;
  }
  // The same with another first dimension.
  Shape of_batch(int64_t n) const {
    Shape s = *this;
    s.sizes_.at(0) = n;
    return s;
  }
  bool operator==(const Shape&) const = default;

 private:
  std::array<int64_t, max_rank> sizes_{};  // 0 behind the rank
  int rank_ = 0;
};

inline std::ostream& operator<<(std::ostream& out, const Shape& s) {
  out << '(';
  for (int i = 0; i < s.rank(); ++i) out << (i ? "," : "") << s[i];
  return out << ')';
}

}  // namespace dura
