// A column as a few groups of rows, to balance over splits or to tabulate against the class: text as it is, numbers by quantile.
#pragma once
#include <string>
#include <vector>

namespace dura {

// One name per value, in the values' order. Where every value that is not empty is a number and more than `most_distinct` of them differ,
// values become the interval between quantiles that holds them, "6.5 to 21.25" (quartiles for 4 bins; the same value is always in the same
// interval, so that bins may differ in size); else they stay as they are. An empty value becomes "unknown".
std::vector<std::string> column_bins(const std::vector<std::string>& values, int bins = 4, int most_distinct = 8);

}  // namespace dura
