#include "apps/metrics/significance.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "engine/base/check.h"
#include "engine/base/numbers.h"
#include "engine/base/parallel.h"
#include "engine/base/random.h"

namespace dura {

Interval percentile_interval(std::vector<double> values, double level) {
  const size_t all = values.size();
  values.erase(std::remove_if(values.begin(), values.end(), [](double v) { return std::isnan(v); }), values.end());
  if (values.empty() || 2 * values.size() < all) return {NAN, NAN};
  std::sort(values.begin(), values.end());
  return {quantile(values, (1 - level) / 2), quantile(values, (1 + level) / 2)};
}

Bootstrap::Bootstrap(const std::vector<std::string>& units, const BootstrapOptions& options) : options_(options) {
  DURA_CHECK(options.resamples >= 1 && options.level > 0 && options.level < 1, "bootstrap: ", options.resamples, " resamples, level ",
             options.level);
  std::map<std::string, size_t> number;
  for (const std::string& u : units) unit_of_row_.push_back(number.emplace(u, number.size()).first->second);
  units_ = static_cast<int64_t>(number.size());
}

std::vector<std::vector<double>> Bootstrap::draw(
    const std::function<std::vector<double>(const std::vector<double>& counts)>& values) const {
  std::vector<std::vector<double>> all(static_cast<size_t>(options_.resamples));
  const uint64_t key = random_key(options_.seed, "bootstrap");
  parallel_for(options_.resamples, [&](int64_t r) {
    Random random(key, static_cast<uint64_t>(r));
    std::vector<double> drawn(static_cast<size_t>(units_)), counts(unit_of_row_.size());
    for (int64_t k = 0; k < units_; ++k) ++drawn[random.below(static_cast<uint64_t>(units_))];
    for (size_t i = 0; i < counts.size(); ++i) counts[i] = drawn[unit_of_row_[i]];
    all[static_cast<size_t>(r)] = values(counts);
  });
  return all;
}

std::vector<Interval> Bootstrap::intervals(size_t scores,
                                           const std::function<std::vector<double>(const std::vector<double>& counts)>& values) const {
  std::vector<Interval> result(scores, {NAN, NAN});
  if (units_ < 2) return result;
  const std::vector<std::vector<double>> draws = draw(values);
  for (size_t s = 0; s < scores; ++s) {
    std::vector<double> column;
    for (const std::vector<double>& d : draws) column.push_back(d.at(s));
    result[s] = percentile_interval(std::move(column), options_.level);
  }
  return result;
}

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
