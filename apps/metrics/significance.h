// How far a score can be trusted: the bootstrap over patients, and McNemar's test between two classifiers.
#pragma once
#include <cmath>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace dura {

// How far would a score move with other patients? Slices of one patient resemble each other, so whole patients are drawn, not slices
// (cluster bootstrap, Field and Welsh 2007).

struct Interval {
  double low = 0, high = 0;  // both NaN where there is none
};

// A value and how sure it is.
struct Score {
  double value = 0;  // NaN where it is not defined
  Interval interval = {NAN, NAN};
};

struct BootstrapOptions {
  int64_t resamples = 2000;
  uint64_t seed = 0;
  double level = 0.95;
};

class Bootstrap {
 public:
  // `units[i]` names the patient of row i.
  explicit Bootstrap(const std::vector<std::string>& units, const BootstrapOptions& options = {});

  int64_t units() const { return units_; }
  const BootstrapOptions& options() const { return options_; }

  // Percentile intervals of several scores over the same resamples: `scores` gets how often each row was drawn and returns one value per
  // score, NaN where it is not defined for that draw. Such draws are left out; a score that is defined in less than half of them, or fewer
  // than two units, has no interval. The same for any number of threads.
  std::vector<Interval> intervals(size_t scores, const std::function<std::vector<double>(const std::vector<double>& counts)>& values) const;

  // The values themselves: one row per resample.
  std::vector<std::vector<double>> draw(const std::function<std::vector<double>(const std::vector<double>& counts)>& values) const;

 private:
  BootstrapOptions options_;
  int64_t units_ = 0;
  std::vector<size_t> unit_of_row_;
};

// The `level` in the middle of the values that are numbers, by linear interpolation as NumPy's quantile; none where fewer than half are.
Interval percentile_interval(std::vector<double> values, double level);

// Do two classifiers differ in how often they are right on the same pictures? Only the pictures that one gets right and the other wrong
// tell (McNemar 1947).
struct McNemar {
  int64_t both_right = 0, only_a_right = 0, only_b_right = 0, both_wrong = 0;
  double p_value = 1;
};

// The chance of a count of disagreements at least as uneven as (n, m) if either side were equally likely: the exact two-sided binomial
// test with probability 1/2, for any counts; 1 where there is no disagreement.
double exact_mcnemar(int64_t n, int64_t m);

McNemar mcnemar(const std::vector<bool>& a_right, const std::vector<bool>& b_right);

}  // namespace dura
