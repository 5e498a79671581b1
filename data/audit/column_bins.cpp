#include "data/audit/column_bins.h"

#include <algorithm>
#include <set>

#include "engine/base/check.h"
#include "engine/base/text.h"

namespace dura {

std::vector<std::string> column_bins(const std::vector<std::string>& values, int bins, int most_distinct) {
  DURA_CHECK(bins >= 2, "a column is divided into at least 2 bins, ", bins, " were asked for");
  std::vector<double> numbers;
  bool numeric = true;
  for (const std::string& value : values) {
    if (value.empty()) continue;
    const std::optional<double> number = parse_number(value);
    numeric = numeric && number;
    if (number) numbers.push_back(*number);
  }
  std::sort(numbers.begin(), numbers.end());
  numeric = numeric && static_cast<int>(std::set<double>(numbers.begin(), numbers.end()).size()) > most_distinct;

  // Each bin begins at a value that occurs; equal borders fall together.
  std::vector<double> begins;
  for (int b = 0; numeric && b < bins; ++b) {
    const double begin = numbers[numbers.size() * static_cast<size_t>(b) / static_cast<size_t>(bins)];
    if (begins.empty() || begin > begins.back()) begins.push_back(begin);
  }
  std::vector<std::string> names;
  for (size_t b = 0; b < begins.size(); ++b)
    names.push_back(concat(begins[b], " to ", b + 1 < begins.size() ? begins[b + 1] : numbers.back()));

  std::vector<std::string> result;
  for (const std::string& value : values) {
    if (value.empty()) {
      result.emplace_back("unknown");
    } else if (!numeric) {
      result.push_back(value);
    } else {
      const auto after = std::upper_bound(begins.begin(), begins.end(), *parse_number(value));
      result.push_back(names[static_cast<size_t>(after - begins.begin()) - 1]);
    }
  }
  return result;
}

}  // namespace dura
