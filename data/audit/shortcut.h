// Columns of a manifest: as groups of rows, and whether one gives the class away.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "data/set/manifest.h"

namespace dura {

// A column as a few groups of rows, to balance over splits or to tabulate against the class: text as it is, numbers by quantile.

// One name per value, in the values' order. Where every value that is not empty is a number and more than `most_distinct` of them differ,
// values become the interval between quantiles that holds them, "6.5 to 21.25" (quartiles for 4 bins; the same value is always in the same
// interval, so that bins may differ in size); else they stay as they are. An empty value becomes "unknown".
std::vector<std::string> column_bins(const std::vector<std::string>& values, int bins = 4, int most_distinct = 8);

// What gives the class away without the picture being understood: a plane of section, a hospital, a size, a file type that goes with one
// class. Each column is tabulated against the class in every split, and judged by how well it alone would classify.
struct CrossRow {
  std::string value;
  std::array<std::vector<int64_t>, 3> slices;  // by Split and class
};

struct CrossTable {
  std::string column;
  std::vector<CrossRow> rows;  // by value
  // Mean recall of the classes by the rule "the class that has the largest share of its training slices at this value", by Split; a value
  // that training lacks counts as a guess. NaN where the split is empty.
  std::array<double, 3> balanced_accuracy{};

  bool gives_class_away(double limit) const { return balanced_accuracy[0] >= limit; }
};

// Chance is 1 / classes. At this much of two classes a network has no reason to look at the lesion.
inline constexpr double shortcut_limit = 0.85;

// `values`: of the column, one per manifest row, binned already. `labels`: the class of every manifest row, -1 for rows
// that do not count.
CrossTable cross_table(const std::string& column, const std::vector<std::string>& values, const std::vector<int32_t>& labels,
                       const SplitRows& splits, int64_t classes);

}  // namespace dura
