// Do two classifiers differ in how often they are right on the same pictures? Only the pictures that one gets right and the other wrong
// tell (McNemar 1947).
#pragma once
#include <cstdint>
#include <vector>

namespace dura {

struct McNemar {
  int64_t both_right = 0, only_a_right = 0, only_b_right = 0, both_wrong = 0;
  double p_value = 1;
};

// The chance of a count of disagreements at least as uneven as (n, m) if either side were equally likely: the exact two-sided binomial
// test with probability 1/2, for any counts; 1 where there is no disagreement.
double exact_mcnemar(int64_t n, int64_t m);

McNemar mcnemar(const std::vector<bool>& a_right, const std::vector<bool>& b_right);

}  // namespace dura
