#include "data/audit/shortcut.h"

#include <algorithm>
#include <cmath>
#include <map>
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

namespace {

constexpr int32_t unseen = -1;

std::vector<int64_t> class_totals(const CrossTable& table, size_t split, size_t classes) {
  std::vector<int64_t> totals(classes, 0);
  for (const CrossRow& row : table.rows)
    for (size_t c = 0; c < classes; ++c) totals[c] += row.slices[split][c];
  return totals;
}

// The class whose training slices are at this value most often, for its own number of them: so the rare class counts as much.
int32_t rule(const CrossRow& row, const std::vector<int64_t>& training_totals) {
  int32_t best = unseen;
  double best_share = 0;
  for (size_t c = 0; c < training_totals.size(); ++c) {
    if (row.slices[0][c] == 0) continue;
    const double share = static_cast<double>(row.slices[0][c]) / static_cast<double>(training_totals[c]);
    if (share > best_share) best = static_cast<int32_t>(c), best_share = share;
  }
  return best;
}

double balanced_accuracy(const CrossTable& table, size_t split, const std::vector<int64_t>& training_totals) {
  const size_t classes = training_totals.size();
  const std::vector<int64_t> totals = class_totals(table, split, classes);
  std::vector<double> right(classes, 0);
  for (const CrossRow& row : table.rows) {
    const int32_t predicted = rule(row, training_totals);
    for (size_t c = 0; c < classes; ++c)
      if (predicted == unseen)
        right[c] += static_cast<double>(row.slices[split][c]) / static_cast<double>(classes);
      else if (static_cast<size_t>(predicted) == c)
        right[c] += static_cast<double>(row.slices[split][c]);
  }
  double sum = 0, present = 0;
  for (size_t c = 0; c < classes; ++c)
    if (totals[c] > 0) sum += right[c] / static_cast<double>(totals[c]), ++present;
  return present > 0 ? sum / present : NAN;
}

}  // namespace

CrossTable cross_table(const std::string& column, const std::vector<std::string>& values, const std::vector<int32_t>& labels,
                       const SplitRows& splits, int64_t classes) {
  std::map<std::string, CrossRow> by_value;
  for (Split split : all_splits)
    for (int64_t i : splits[split]) {
      const auto at = static_cast<size_t>(i);
      if (labels.at(at) < 0) continue;
      CrossRow& row = by_value[values.at(at)];
      if (row.value.empty())
        row = {.value = values[at], .slices = {}}, row.slices.fill(std::vector<int64_t>(static_cast<size_t>(classes), 0));
      ++row.slices[static_cast<size_t>(split)][static_cast<size_t>(labels[at])];
    }
  CrossTable table{.column = column, .rows = {}, .balanced_accuracy = {}};
  for (auto& [value, row] : by_value) table.rows.push_back(std::move(row));
  const std::vector<int64_t> training_totals = class_totals(table, 0, static_cast<size_t>(classes));
  for (size_t s = 0; s < 3; ++s) table.balanced_accuracy[s] = balanced_accuracy(table, s, training_totals);
  return table;
}

}  // namespace dura
