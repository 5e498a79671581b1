#include "data/audit/split.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <unordered_map>

#include "data/audit/shortcut.h"
#include "data/audit/disjoint_sets.h"
#include "engine/base/check.h"
#include "engine/base/random.h"

namespace dura {
namespace {

// Deviations of whole classes count this many times as much as those of their parts.
constexpr double class_importance = 4.0;
// Above this many units single moves are enough, and trying all exchanges would be slow.
constexpr size_t most_units_to_exchange = 400;

struct Unit {
  std::vector<int64_t> rows;                      // indices into the manifest
  std::string name;                               // its smallest file name: the order of units must not depend on the order of rows
  std::vector<std::pair<size_t, double>> counts;  // stratum, rows in it
};

std::vector<Unit> make_units(const Manifest& manifest, const std::vector<int64_t>& rows) {
  DisjointSets sets(rows.size());
  for (const auto field : {&ManifestRow::patient, &ManifestRow::group}) {
    std::unordered_map<std::string, size_t> first;
    for (size_t i = 0; i < rows.size(); ++i) {
      const std::string& key = manifest.rows[static_cast<size_t>(rows[i])].*field;
      if (!key.empty()) sets.join(i, first.emplace(key, i).first->second);
    }
  }
  std::map<size_t, Unit> by_root;
  for (size_t i = 0; i < rows.size(); ++i) {
    Unit& unit = by_root[sets.find(i)];
    const std::string& file = manifest.rows[static_cast<size_t>(rows[i])].file;
    if (unit.rows.empty() || file < unit.name) unit.name = file;
    unit.rows.push_back(rows[i]);
  }
  std::vector<Unit> units;
  for (auto& [root, unit] : by_root) units.push_back(std::move(unit));
  std::sort(units.begin(), units.end(), [](const Unit& a, const Unit& b) { return a.name < b.name; });
  return units;
}

// How far an assignment is from the wanted shares, kept up to date unit by unit.
class Balance {
 public:
  Balance(const std::vector<StratumReport>& strata, size_t classes, const std::vector<size_t>& splits) : splits_(splits) {
    for (size_t t = 0; t < strata.size(); ++t) {
      missing_.push_back(strata[t].wanted);
      importance_.push_back({});
      for (size_t s : splits) importance_[t][s] = (t < classes ? class_importance : 1.0) / strata[t].wanted[s];
    }
  }
  void add(const Unit& unit, size_t split, double sign) {
    for (const auto& [t, n] : unit.counts) missing_[t][split] -= sign * n;
  }
  // Adds the unit (sign 1) or removes it (-1), and says how that changed the cost.
  double put(const Unit& unit, size_t split, double sign) {
    const double changed = change(unit, split, sign);
    add(unit, split, sign);
    return changed;
  }
  // The change of cost if the unit were added (sign 1) or removed (-1).
  double change(const Unit& unit, size_t split, double sign) const {
    double sum = 0;
    for (const auto& [t, n] : unit.counts) sum += importance_[t][split] * (n * n - 2 * sign * n * missing_[t][split]);
    return sum;
  }
  double cost() const {
    double sum = 0;
    for (size_t t = 0; t < missing_.size(); ++t)
      for (size_t s : splits_) sum += importance_[t][s] * missing_[t][s] * missing_[t][s];
    return sum;
  }

 private:
  const std::vector<size_t>& splits_;
  std::vector<std::array<double, 3>> missing_, importance_;  // by stratum and split
};

constexpr double least_gain = 1e-9;  // below it is rounding, and the search might not end

bool move_units(const std::vector<Unit>& units, const std::vector<size_t>& splits, Balance& balance, std::vector<size_t>& assigned) {
  bool improved = false;
  for (size_t u = 0; u < units.size(); ++u)
    for (size_t s : splits) {
      if (s == assigned[u]) continue;
      if (balance.change(units[u], assigned[u], -1) + balance.change(units[u], s, 1) > -least_gain) continue;
      balance.add(units[u], assigned[u], -1);
      balance.add(units[u], s, 1);
      assigned[u] = s;
      improved = true;
    }
  return improved;
}

bool exchange_units(const std::vector<Unit>& units, Balance& balance, std::vector<size_t>& assigned) {
  bool improved = false;
  for (size_t a = 0; a < units.size(); ++a)
    for (size_t b = 0; b < a; ++b) {
      if (assigned[a] == assigned[b]) continue;
      const auto exchange = [&] {
        double change = balance.put(units[a], assigned[a], -1);
        change += balance.put(units[b], assigned[b], -1);
        std::swap(assigned[a], assigned[b]);
        change += balance.put(units[a], assigned[a], 1);
        return change + balance.put(units[b], assigned[b], 1);
      };
      if (exchange() < -least_gain)
        improved = true;
      else
        exchange();  // back
    }
  return improved;
}

std::vector<size_t> deal_out(const std::vector<Unit>& units, const std::vector<size_t>& splits, Balance& balance, Random random) {
  std::vector<size_t> order(units.size()), assigned(units.size());
  std::iota(order.begin(), order.end(), size_t{0});
  random.shuffle(order);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return units[a].rows.size() > units[b].rows.size(); });
  for (size_t u : order) {
    size_t best = splits.front();
    double best_change = std::numeric_limits<double>::infinity();
    for (size_t s : splits) {
      const double change = balance.change(units[u], s, 1);
      if (change < best_change - least_gain) best = s, best_change = change;
    }
    assigned[u] = best;
    balance.add(units[u], best, 1);
  }
  while (move_units(units, splits, balance, assigned) ||
         (units.size() <= most_units_to_exchange && exchange_units(units, balance, assigned))) {
  }
  return assigned;
}

std::array<double, 3> wanted_shares(const SplitOptions& options) {
  for (const auto& [name, share] : {std::pair{"test", options.test}, std::pair{"val", options.val}})
    if (!(share >= 0 && share < 1)) fail_usage("the share of ", name, " is ", share, ". It must be at least 0 and below 1.");
  if (options.test == 0 && options.val == 0) fail_usage("both the share of test and that of val are 0: there is nothing to split");
  if (options.restarts < 1) fail_usage("the number of restarts is ", options.restarts, ", at least 1 is needed");
  const double rest = 1 - options.test;
  return {rest * (1 - options.val), rest * options.val, options.test};
}

}  // namespace

SplitReport assign_splits(Manifest& manifest, const std::vector<int64_t>& unordered_rows, const ClassNames& classes,
                          const SplitOptions& options) {
  const std::array<double, 3> shares = wanted_shares(options);
  std::vector<size_t> splits;
  for (size_t s = 0; s < 3; ++s)
    if (shares[s] > 0) splits.push_back(s);

  std::vector<int64_t> rows = unordered_rows;
  const auto file = [&](int64_t row) -> const std::string& { return manifest.rows[static_cast<size_t>(row)].file; };
  std::sort(rows.begin(), rows.end(), [&](int64_t a, int64_t b) { return file(a) < file(b); });
  const std::vector<int32_t> labels = class_indices(manifest, rows, classes, true);
  SplitReport report;
  std::unordered_map<std::string, size_t> stratum_of;
  for (const std::string& name : classes.names()) stratum_of.emplace(name, report.strata.size()), report.strata.push_back({.name = name});
  std::vector<std::vector<std::string>> balanced;  // by column and place in rows
  for (const std::string& column : options.balance) {
    std::vector<std::string> values;
    for (int64_t row : rows) values.push_back(manifest.value(manifest.rows[static_cast<size_t>(row)], column));
    balanced.push_back(column_bins(values));
  }
  std::unordered_map<int64_t, std::vector<size_t>> strata_of_row;
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::string& label = classes[labels[i]];
    std::vector<size_t>& mine = strata_of_row[rows[i]];
    mine.push_back(static_cast<size_t>(labels[i]));
    for (size_t b = 0; b < balanced.size(); ++b) {
      const std::string name = concat(label, ", ", options.balance[b], "=", balanced[b][i]);
      const auto [it, is_new] = stratum_of.emplace(name, report.strata.size());
      if (is_new) report.strata.push_back({.name = name, .column = options.balance[b]});
      mine.push_back(it->second);
    }
    for (size_t t : mine)
      for (size_t s = 0; s < 3; ++s) report.strata[t].wanted[s] += shares[s];
  }

  std::vector<Unit> units = make_units(manifest, rows);
  report.units = static_cast<int64_t>(units.size());
  std::vector<int64_t> units_of_class(static_cast<size_t>(classes.size()), 0);
  for (Unit& unit : units) {
    std::map<size_t, double> counts;
    for (int64_t row : unit.rows)
      for (size_t t : strata_of_row[row]) ++counts[t];
    unit.counts.assign(counts.begin(), counts.end());
    for (const auto& [t, n] : counts)
      if (t < units_of_class.size()) ++units_of_class[t];
  }
  for (int64_t c = 0; c < classes.size(); ++c)
    DURA_CHECK(units_of_class[static_cast<size_t>(c)] >= static_cast<int64_t>(splits.size()), manifest.name, ": class ", classes[c],
               " has ", units_of_class[static_cast<size_t>(c)], " patients, groups or single slices, too few for ", splits.size(),
               " splits that share none of them");

  std::vector<size_t> best;
  double best_cost = std::numeric_limits<double>::infinity();
  for (int start = 0; start < options.restarts; ++start) {
    Balance balance(report.strata, static_cast<size_t>(classes.size()), splits);
    std::vector<size_t> assigned =
        deal_out(units, splits, balance, Random(random_key(options.seed, "split"), static_cast<uint64_t>(start)));
    const double cost = balance.cost();
    if (cost < best_cost - least_gain) best = std::move(assigned), best_cost = cost;
  }

  for (size_t u = 0; u < units.size(); ++u)
    for (int64_t row : units[u].rows) {
      manifest.rows[static_cast<size_t>(row)].split = split_name(static_cast<Split>(best[u]));
      for (size_t t : strata_of_row[row]) ++report.strata[t].rows[best[u]];
    }
  for (size_t c = 0; c < static_cast<size_t>(classes.size()); ++c) {
    const StratumReport& stratum = report.strata[c];
    const double total = static_cast<double>(stratum.rows[0] + stratum.rows[1] + stratum.rows[2]);
    for (size_t s : splits) {
      DURA_CHECK(stratum.rows[s] > 0, manifest.name, ": no division into splits was found that gives ", split_name(static_cast<Split>(s)),
                 " a row of class ", stratum.name, ". Its patients or groups are too large for the share; make the share larger.");
      report.largest_class_deviation =
          std::max(report.largest_class_deviation, std::abs(static_cast<double>(stratum.rows[s]) - stratum.wanted[s]) / total);
    }
  }
  return report;
}

}  // namespace dura
