#include "apps/report/class_balance.h"

#include <algorithm>
#include <cstdio>
#include <numeric>

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
  char line[160];
  std::snprintf(line, sizeof line, "%-28s", "slices (share) as seen");
  std::string text = line;
  for (const ClassSurvey& c : survey.classes) {
    std::snprintf(line, sizeof line, " %18.60s", c.name.c_str());
    text += line;
  }
  text += "\n";
  for (const ClassBalance& b : balances) {
    std::snprintf(line, sizeof line, "%-28s", b.name.c_str());
    text += line;
    for (size_t c = 0; c < b.slices.size(); ++c) {
      std::snprintf(line, sizeof line, " %9.0f (%4.1f %%)", b.slices[c], 100 * b.share(c));
      text += line;
    }
    text += "\n";
  }
  return text;
}

}  // namespace dura
