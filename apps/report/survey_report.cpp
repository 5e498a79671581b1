#include "apps/report/survey_report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "data/set/csv.h"
#include "engine/base/numbers.h"

namespace dura {
namespace {

constexpr size_t most_examples = 5;                   // of bad files and copies in the text; the JSON has all
constexpr double lesion_bins_mm[] = {5, 10, 20, 40};  // borders: under 5 mm is where detection is said to fail
constexpr double notable_deviation = 0.05;            // share of a stratum's rows

template <class... Values>
std::string line(const char* format, Values... values) {
  char text[256];
  std::snprintf(text, sizeof text, format, values...);
  return text;
}

long long count(int64_t n) { return static_cast<long long>(n); }

std::string file_of(const Manifest& manifest, int64_t row) { return manifest.rows[static_cast<size_t>(row)].file; }

std::string counts_text(const DataSurvey& survey) {
  std::string text = line("%-16s %18s %18s %18s %10s\n", "slices (patients)", "train", "val", "test", "left out");
  for (const ClassSurvey& c : survey.classes) {
    text += line("%-16s", c.name.c_str());
    for (size_t s = 0; s < 3; ++s) text += line("%11lld (%5lld)", count(c.slices[s]), count(c.patients[s]));
    text += line("%11lld\n", count(c.left_out));
  }
  for (const auto& [value, rows] : survey.left_out) text += line("left out by split '%s': %lld\n", value.c_str(), count(rows));
  for (const auto& [label, rows] : survey.other_labels) text += line("not looked at, label '%s': %lld\n", label.c_str(), count(rows));
  return text;
}

std::string extents_text(const DataSurvey& survey) {
  std::vector<std::pair<int64_t, std::pair<int64_t, int64_t>>> by_slices;
  for (const auto& [extent, slices] : survey.extents) by_slices.push_back({slices, extent});
  std::sort(by_slices.rbegin(), by_slices.rend());
  std::string text = "extents (height x width): ";
  for (size_t i = 0; i < std::min(most_examples, by_slices.size()); ++i)
    text += line("%s%lldx%lld (%lld)", i ? ", " : "", count(by_slices[i].second.first), count(by_slices[i].second.second),
                 count(by_slices[i].first));
  if (by_slices.size() > most_examples) text += concat(" and ", by_slices.size() - most_examples, " more");
  return text + "\n";
}

std::string levels_text(const DataSurvey& survey) {
  std::string text = line("%-16s %8s %10s %6s %6s %6s\n", "grey levels", "mean", "deviation", "1 %", "50 %", "99 %");
  for (const ClassSurvey& c : survey.classes)
    text += line("%-16s %8.1f %10.1f %6d %6d %6d\n", c.name.c_str(), c.mean_level(), c.level_deviation(), c.level_percentile(0.01),
                 c.level_percentile(0.5), c.level_percentile(0.99));
  return text;
}

std::string lesions_text(const DataSurvey& survey) {
  if (std::all_of(survey.classes.begin(), survey.classes.end(), [](const ClassSurvey& c) { return c.masks == 0; })) return "no masks\n";
  std::string text = line("%-16s %6s %6s %6s %6s %6s %6s %6s |", "lesions, mm", "masks", "known", "min", "25 %", "50 %", "75 %", "max");
  double low = 0;
  for (double high : lesion_bins_mm) text += line(" %5.0f-%-2.0f", low, high), low = high;
  text += line(" %6.0f+\n", low);
  for (const ClassSurvey& c : survey.classes) {
    text += line("%-16s %6lld %6zu", c.name.c_str(), count(c.masks), c.lesion_mm.size());
    for (double share : {0.0, 0.25, 0.5, 0.75, 1.0}) text += line(" %6.1f", quantile(c.lesion_mm, share));
    text += " |";
    auto from = c.lesion_mm.begin();
    for (double high : lesion_bins_mm) {
      const auto to = std::lower_bound(from, c.lesion_mm.end(), high);
      text += line(" %8lld", count(to - from));
      from = to;
    }
    text += line(" %7lld\n", count(c.lesion_mm.end() - from));
    if (!c.lesion_mm.empty())
      text += line("%-16s largest extent, median: %.1f mm; area, median: %.0f mm2 (%.0f to %.0f)\n", "", quantile(c.lesion_extent_mm, 0.5),
                   quantile(c.lesion_mm2, 0.5), c.lesion_mm2.front(), c.lesion_mm2.back());
    if (c.empty_masks) text += line("%-16s %lld masks are empty\n", "", count(c.empty_masks));
  }
  return text;
}

// Both are used, in different splits.
bool are_divided(const Manifest& manifest, const SimilarRows& pair) {
  const auto a = parse_split(manifest.rows[static_cast<size_t>(pair.first)].split),
             b = parse_split(manifest.rows[static_cast<size_t>(pair.second)].split);
  return a && b && *a != *b;
}

std::string problems_text(const DataSurvey& survey, const Manifest& manifest) {
  std::string text = concat("files that cannot be used: ", survey.bad.size(), "\n");
  for (size_t i = 0; i < std::min(most_examples, survey.bad.size()); ++i) text += concat("  ", survey.bad[i].reason, "\n");
  if (survey.bad.size() > most_examples) text += concat("  and ", survey.bad.size() - most_examples, " more\n");
  text += concat("slices that are stored more than once, byte for byte: ", survey.copies.size(), "\n");
  for (size_t i = 0; i < std::min(most_examples, survey.copies.size()); ++i) {
    text += " ";
    for (int64_t row : survey.copies[i]) text.append(" ").append(file_of(manifest, row));
    text += "\n";
  }
  int64_t divided = 0;
  for (const SimilarRows& pair : survey.similar) divided += are_divided(manifest, pair);
  text +=
      concat("pairs of slices that show the same picture (mirrored, turned, slightly rotated, brighter or darker): ", survey.similar.size(),
             ", ", divided, " of them in two splits\n");
  for (size_t i = 0; i < std::min(most_examples, survey.similar.size()); ++i) {
    const SimilarRows& pair = survey.similar[i];
    text += concat("  ", file_of(manifest, pair.first), " and ", file_of(manifest, pair.second), ", ", pair.placement.name(),
                   line(", likeness %.4f\n", pair.likeness));
  }
  return text;
}

}  // namespace

std::string copies_csv(const DataSurvey& survey, const Manifest& manifest) {
  std::string text = format_csv_row({"first", "second", "first_split", "second_split", "how", "likeness"});
  const auto add = [&](int64_t first, int64_t second, const std::string& how, double likeness) {
    const ManifestRow &a = manifest.rows[static_cast<size_t>(first)], &b = manifest.rows[static_cast<size_t>(second)];
    text += format_csv_row({a.file, b.file, a.split, b.split, how, line("%.4f", likeness)});
  };
  for (const std::vector<int64_t>& same : survey.copies)
    for (size_t i = 1; i < same.size(); ++i) add(same[0], same[i], "the same bytes", 1);
  for (const SimilarRows& pair : survey.similar) add(pair.first, pair.second, pair.placement.name(), pair.likeness);
  return text;
}

std::string survey_text(const DataSurvey& survey, const Manifest& manifest) {
  std::string text;
  for (const std::string& part :
       {counts_text(survey), extents_text(survey), levels_text(survey), lesions_text(survey), problems_text(survey, manifest)})
    text.append(text.empty() ? "" : "\n").append(part);
  return text;
}

std::map<std::string, double> column_deviations(const SplitReport& report) {
  std::map<std::string, double> largest;
  for (const StratumReport& s : report.strata)
    for (size_t k = 0; k < 3; ++k)
      if (!s.column.empty()) largest[s.column] = std::max(largest[s.column], std::abs(static_cast<double>(s.rows[k]) - s.wanted[k]));
  return largest;
}

std::string split_text(const SplitReport& report) {
  std::string text = concat("divided ", report.units, " patients, groups or single slices\n");
  text += line("%-32s %22s %22s %22s\n", "rows (wanted)", "train", "val", "test");
  for (const StratumReport& s : report.strata) {
    text += line("%-32s", s.name.c_str());
    const double total = static_cast<double>(s.rows[0] + s.rows[1] + s.rows[2]);
    bool notable = false;
    for (size_t k = 0; k < 3; ++k) {
      text += line(" %11lld (%8.1f)", count(s.rows[k]), s.wanted[k]);
      notable = notable || std::abs(static_cast<double>(s.rows[k]) - s.wanted[k]) > notable_deviation * total;
    }
    text += notable ? "  out of balance\n" : "\n";
  }
  text += line("largest deviation of a class: %.1f %% of its slices\n", 100 * report.largest_class_deviation);
  for (const auto& [column, deviation] : column_deviations(report))
    text += line("largest deviation of %s: %.1f slices in a class and split\n", column.c_str(), deviation);
  return text;
}

std::string survey_json(const DataSurvey& survey, const Manifest& manifest, const SplitReport* split) {
  using nlohmann::json;
  json out;
  out["slices"] = survey.slices;
  for (const ClassSurvey& c : survey.classes) {
    json splits;
    for (Split s : all_splits)
      splits[split_name(s)] = {{"slices", c.slices[static_cast<size_t>(s)]}, {"patients", c.patients[static_cast<size_t>(s)]}};
    json levels = {{"mean", c.mean_level()},
                   {"deviation", c.level_deviation()},
                   {"p1", c.level_percentile(0.01)},
                   {"p50", c.level_percentile(0.5)},
                   {"p99", c.level_percentile(0.99)}};
    const auto quartiles = [](const std::vector<double>& v) -> json {
      return {{"count", v.size()},          {"min", quantile(v, 0)},   {"q1", quantile(v, 0.25)},
              {"median", quantile(v, 0.5)}, {"q3", quantile(v, 0.75)}, {"max", quantile(v, 1)}};
    };
    out["classes"].push_back({{"name", c.name},
                              {"splits", splits},
                              {"left_out", c.left_out},
                              {"grey_levels", levels},
                              {"masks", c.masks},
                              {"empty_masks", c.empty_masks},
                              {"lesion_mm", quartiles(c.lesion_mm)},
                              {"lesion_extent_mm", quartiles(c.lesion_extent_mm)},
                              {"lesion_mm2", quartiles(c.lesion_mm2)}});
  }
  out["left_out"] = survey.left_out;
  out["other_labels"] = survey.other_labels;
  out["extents"] = json::array();
  for (const auto& [extent, slices] : survey.extents)
    out["extents"].push_back({{"height", extent.first}, {"width", extent.second}, {"slices", slices}});
  out["bad"] = json::array();
  for (const BadImage& b : survey.bad) out["bad"].push_back({{"file", b.file}, {"reason", b.reason}});
  out["copies"] = json::array();
  for (const std::vector<int64_t>& same : survey.copies) {
    json files = json::array();
    for (int64_t row : same) files.push_back(file_of(manifest, row));
    out["copies"].push_back(files);
  }
  out["similar"] = json::array();
  for (const SimilarRows& pair : survey.similar)
    out["similar"].push_back({{"first", file_of(manifest, pair.first)},
                              {"second", file_of(manifest, pair.second)},
                              {"how", pair.placement.name()},
                              {"likeness", pair.likeness},
                              {"divided", are_divided(manifest, pair)}});
  if (split) {
    json strata = json::array();
    for (const StratumReport& s : split->strata) strata.push_back({{"name", s.name}, {"rows", s.rows}, {"wanted", s.wanted}});
    out["split"] = {{"units", split->units},
                    {"largest_class_deviation", split->largest_class_deviation},
                    {"strata", strata},
                    {"column_deviations", column_deviations(*split)}};
  }
  // File names may hold bytes that are no UTF-8: replace them rather than fail at the very end.
  return out.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace dura
