#include "apps/evaluation/error_analysis.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <set>

#include "apps/program/decimals.h"
#include "engine/base/check.h"

namespace dura {
namespace {

constexpr size_t worst_cases = 40, most_values = 8;
using Pictures = std::vector<const AnalysedPicture*>;

ErrorRate error_rate(const Pictures& wrong, size_t of) {
  std::set<std::string> units;
  for (const AnalysedPicture* p : wrong) units.insert(p->unit);
  return {.pictures = {static_cast<int64_t>(wrong.size()), static_cast<int64_t>(of)}, .units = static_cast<int64_t>(units.size())};
}

// The value that `share` of the sorted values lie below.
double quantile(const std::vector<double>& sorted, double share) {
  return sorted[std::min(sorted.size() - 1, static_cast<size_t>(share * static_cast<double>(sorted.size())))];
}

// Under 5 mm, 5 to 10 mm, and the quartiles of the larger lesions (one bin where they are fewer than 8).
std::vector<DiameterBin> diameter_bins(const Pictures& measured, int64_t rare) {
  std::vector<double> large;
  for (const AnalysedPicture* p : measured)
    if (p->diameter_mm >= 10) large.push_back(p->diameter_mm);
  std::sort(large.begin(), large.end());
  std::vector<double> edges = {0, 5, 10};
  if (large.size() >= 8)
    for (const double share : {0.25, 0.5, 0.75})
      if (const double edge = quantile(large, share); edge > edges.back()) edges.push_back(edge);
  edges.push_back(large.empty() ? edges.back() : large.back());
  std::vector<DiameterBin> bins;
  for (size_t k = 0; k + 1 < edges.size(); ++k) {
    DiameterBin bin = {.low = edges[k], .high = edges[k + 1], .missed = {}};
    const bool last = k + 2 == edges.size();
    for (const AnalysedPicture* p : measured) {
      if (p->diameter_mm < bin.low || (!last && p->diameter_mm >= bin.high)) continue;
      ++bin.missed.of;
      bin.missed.count += p->decided != rare;
    }
    bins.push_back(bin);
  }
  return bins;
}

Trait trait_of(const std::string& name, const Pictures& false_positives, const Pictures& true_negatives,
               const std::function<bool(const AnalysedPicture&)>& is) {
  const auto share = [&](const Pictures& pictures) {
    return Share{std::count_if(pictures.begin(), pictures.end(), [&](const AnalysedPicture* p) { return is(*p); }),
                 static_cast<int64_t>(pictures.size())};
  };
  return {.name = name, .false_positives = share(false_positives), .true_negatives = share(true_negatives)};
}

std::vector<Trait> traits_of(const Pictures& false_positives, const Pictures& true_negatives, const std::vector<std::string>& columns) {
  std::vector<Trait> traits;
  if (false_positives.empty()) return traits;
  const auto add = [&](const std::string& name, const std::function<bool(const AnalysedPicture&)>& is) {
    traits.push_back(trait_of(name, false_positives, true_negatives, is));
  };
  // A number becomes a yes or no at the upper quartile of the true negatives: a quarter of those lie above.
  const auto add_number = [&](const std::string& name, const std::function<double(const AnalysedPicture&)>& value) {
    std::vector<double> usual;
    for (const AnalysedPicture* p : true_negatives)
      if (std::isfinite(value(*p))) usual.push_back(value(*p));
    if (usual.empty()) return;
    std::sort(usual.begin(), usual.end());
    const double level = quantile(usual, 0.75);
    add(concat(name, " above ", fixed(level, 0)), [&, level](const AnalysedPicture& p) { return value(p) > level; });
  };
  add_number("mean intensity", [](const AnalysedPicture& p) { return p.features.mean_intensity; });
  add_number("brightness", [](const AnalysedPicture& p) { return p.features.brightness; });
  add_number("bright spots", [](const AnalysedPicture& p) { return static_cast<double>(p.features.bright_spots); });
  add("bright region at the border", [](const AnalysedPicture& p) { return p.features.bright_at_border; });
  if (std::any_of(true_negatives.begin(), true_negatives.end(), [](const AnalysedPicture* p) { return p->diameter_mm > 0; }))
    add_number("lesion diameter (mm)", [](const AnalysedPicture& p) { return p.diameter_mm; });
  for (size_t c = 0; c < columns.size(); ++c) {
    std::set<std::string> values;
    for (const Pictures* all : {&false_positives, &true_negatives})
      for (const AnalysedPicture* p : *all) values.insert(p->columns[c]);
    if (values.size() < 2 || values.size() > most_values) continue;
    for (const std::string& v : values)
      add(concat(columns[c], " = ", v.empty() ? "(empty)" : v), [&](const AnalysedPicture& p) { return p.columns[c] == v; });
  }
  return traits;
}

}  // namespace

double Share::rate() const {
  return of == 0 ? std::numeric_limits<double>::quiet_NaN() : static_cast<double>(count) / static_cast<double>(of);
}

ErrorAnalysis analyse_errors(const std::vector<AnalysedPicture>& pictures, int64_t rare, const std::vector<std::string>& columns) {
  ErrorAnalysis a;
  a.rare = rare;
  Pictures positives, missed, false_positives, true_negatives, measured;
  for (const AnalysedPicture& p : pictures) {
    DURA_CHECK(p.columns.size() == columns.size(), "error analysis: ", p.file, " has ", p.columns.size(), " columns, expected ",
               columns.size());
    if (p.label == rare) {
      positives.push_back(&p);
      if (p.decided != rare) missed.push_back(&p);
      if (p.diameter_mm > 0) measured.push_back(&p);
    } else {
      (p.decided == rare ? false_positives : true_negatives).push_back(&p);
    }
    if (p.decided != p.label) a.worst.push_back(p);
  }
  a.errors = static_cast<int64_t>(a.worst.size());
  a.false_negatives = error_rate(missed, positives.size());
  a.false_positives = error_rate(false_positives, false_positives.size() + true_negatives.size());
  a.not_measured = static_cast<int64_t>(positives.size() - measured.size());
  for (const AnalysedPicture* p : measured) {
    const bool small = p->diameter_mm < 5, miss = p->decided != rare;
    a.under_5_mm.count += small, ++a.under_5_mm.of;
    a.missed_under_5_mm.count += small && miss, a.missed_under_5_mm.of += miss;
  }
  if (!measured.empty()) a.by_diameter = diameter_bins(measured, rare);
  a.traits = traits_of(false_positives, true_negatives, columns);
  const auto true_probability = [](const AnalysedPicture& p) { return p.probabilities[static_cast<size_t>(p.label)]; };
  std::stable_sort(a.worst.begin(), a.worst.end(),
                   [&](const AnalysedPicture& x, const AnalysedPicture& y) { return true_probability(x) < true_probability(y); });
  if (a.worst.size() > worst_cases) a.worst.resize(worst_cases);
  return a;
}

}  // namespace dura
