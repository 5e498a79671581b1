#include "apps/metrics/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "engine/base/check.h"
#include "engine/base/numbers.h"
#include "engine/base/parallel.h"
#include "engine/base/random.h"

namespace dura {
namespace {

constexpr double not_defined = std::numeric_limits<double>::quiet_NaN();

}  // namespace

Interval percentile_interval(std::vector<double> values, double level) {
  const size_t all = values.size();
  values.erase(std::remove_if(values.begin(), values.end(), [](double v) { return std::isnan(v); }), values.end());
  if (values.empty() || 2 * values.size() < all) return {not_defined, not_defined};
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
  std::vector<Interval> result(scores, {not_defined, not_defined});
  if (units_ < 2) return result;
  const std::vector<std::vector<double>> draws = draw(values);
  for (size_t s = 0; s < scores; ++s) {
    std::vector<double> column;
    for (const std::vector<double>& d : draws) column.push_back(d.at(s));
    result[s] = percentile_interval(std::move(column), options_.level);
  }
  return result;
}

}  // namespace dura
