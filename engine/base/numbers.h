// Arithmetic that every room needs and the standard library lacks.
#pragma once
#include <algorithm>
#include <cstddef>
#include <type_traits>
#include <vector>

namespace dura {

// a / b, rounded up: how many pieces of at most b cover a. For a >= 0 and b > 0.
template <class A, class B>
constexpr std::common_type_t<A, B> ceil_div(A a, B b) {
  return (a + b - 1) / b;
}

// The smallest multiple of b that is at least a.
template <class A, class B>
constexpr std::common_type_t<A, B> round_up(A a, B b) {
  return ceil_div(a, b) * b;
}

// The value below which `share` of the ascending values lie, interpolated between neighbours as NumPy does (0: smallest, 1: largest); 0 of
// none.
inline double quantile(const std::vector<double>& ascending, double share) {
  if (ascending.empty()) return 0;
  const double place = share * static_cast<double>(ascending.size() - 1);
  const size_t low = static_cast<size_t>(place), high = std::min(low + 1, ascending.size() - 1);
  return ascending[low] + (place - static_cast<double>(low)) * (ascending[high] - ascending[low]);
}

}  // namespace dura
