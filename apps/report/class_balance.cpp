#include "apps/report/class_balance.h"

#include <algorithm>
#include <numeric>

#include "apps/program/decimals.h"
#include "apps/program/text_table.h"

namespace dura {

double ClassBalance::share(size_t c) const {
  const double sum = std::accumulate(slices.begin(), slices.end(), 0.0);
  return sum > 0 ? slices.at(c) / sum : 0;
}

std::vector<ClassBalance> class_balances(const DataSurvey& survey, const std::vector<double>& weights) {
  std::vector<ClassBalance> balances;
  for (Split split : all_splits) {
    std::vector<double> slices;
    for (const ClassSurvey& c : survey.classes) slices.push_back(static_cast<double>(c.slices[static_cast<size_t>(split)]));
    const double largest = *std::max_element(slices.begin(), slices.end());
    if (largest == 0) continue;
    balances.push_back({split_name(split), slices});
    if (split == Split::train) {
      for (size_t c = 0; c < slices.size(); ++c) slices[c] = weights.empty() ? (slices[c] > 0 ? largest : 0) : slices[c] * weights.at(c);
      balances.push_back({weights.empty() ? "train, equal class weights" : "train, class weights", slices});
    } else if (split == Split::test) {
      for (double& n : slices) n = n > 0 ? largest : 0;
      balances.push_back({"test, balanced", slices});
    }
  }
  return balances;
}

std::string class_balance_text(const std::vector<ClassBalance>& balances, const DataSurvey& survey) {
  Table table = {{"slices (share) as seen"}};
  for (const ClassSurvey& c : survey.classes) table[0].push_back(c.name);
  for (const ClassBalance& b : balances) {
    table.push_back({b.name});
    for (size_t c = 0; c < b.slices.size(); ++c) table.back().push_back(printed("%.0f (%.1f %%)", b.slices[c], 100 * b.share(c)));
  }
  return text_table(table, 0);
}

}  // namespace dura
