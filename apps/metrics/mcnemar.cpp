#include "apps/metrics/mcnemar.h"

#include <algorithm>
#include <cmath>

#include "engine/base/check.h"

namespace dura {

double exact_mcnemar(int64_t n, int64_t m) {
  DURA_CHECK(n >= 0 && m >= 0, "McNemar: counts ", n, " and ", m);
  const auto few = static_cast<double>(std::min(n, m)), all = static_cast<double>(n + m);
  // The tail in units of its largest term, from that term downwards: nothing underflows before it no longer counts.
  double tail = 0, term = 1;
  for (double k = few; k >= 0 && term > 0; --k) tail += term, term *= k / (all - k + 1);
  const double largest = std::lgamma(all + 1) - std::lgamma(few + 1) - std::lgamma(all - few + 1) - all * std::log(2.0);
  return std::min(1.0, 2 * tail * std::exp(largest));
}

McNemar mcnemar(const std::vector<bool>& a_right, const std::vector<bool>& b_right) {
  DURA_CHECK(a_right.size() == b_right.size(), "McNemar: ", a_right.size(), " answers and ", b_right.size());
  McNemar m;
  for (size_t i = 0; i < a_right.size(); ++i)
    ++(a_right[i] ? (b_right[i] ? m.both_right : m.only_a_right) : (b_right[i] ? m.only_b_right : m.both_wrong));
  m.p_value = exact_mcnemar(m.only_a_right, m.only_b_right);
  return m;
}

}  // namespace dura
