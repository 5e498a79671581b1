#include "apps/report/survey_report.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "apps/program/text_table.h"
#include "apps/report/svg.h"
#include "data/set/csv.h"
#include "engine/base/numbers.h"
#include "engine/base/text.h"

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

bool are_divided(const Manifest& manifest, const NearCopy& pair) {
  const auto a = parse_split(manifest.rows[static_cast<size_t>(pair.first)].split),
             b = parse_split(manifest.rows[static_cast<size_t>(pair.second)].split);
  return a && b && *a != *b;
}

namespace {

constexpr size_t most_extents = 8;
constexpr size_t first_level = 8;  // below it is the black around the head, which would flatten everything else

std::string classes_plot(const DataSurvey& survey, const std::vector<ClassBalance>& balances) {
  BarPlot plot{.title = "How often each class is met", .y_label = "share of the slices, %", .y_max = 100.0, .width = 760};
  for (const ClassSurvey& c : survey.classes) plot.series.push_back({.name = c.name});
  for (const ClassBalance& b : balances) {
    plot.groups.push_back(b.name);
    for (size_t c = 0; c < b.slices.size(); ++c) plot.series[c].values.push_back(100 * b.share(c));
  }
  return svg_bar_plot(plot);
}

// Slices, (height, width): the most frequent first.
std::vector<std::pair<int64_t, std::pair<int64_t, int64_t>>> sizes_by_count(const DataSurvey& survey) {
  std::vector<std::pair<int64_t, std::pair<int64_t, int64_t>>> all;
  for (const auto& [size, slices] : survey.extents) all.push_back({slices, size});
  std::sort(all.rbegin(), all.rend());
  return all;
}

std::string extents_plot(const DataSurvey& survey, const Manifest& manifest, const ClassNames& classes) {
  std::map<std::pair<int64_t, int64_t>, std::vector<double>> slices;
  for (const SliceSurvey& s : survey.readable) {
    std::vector<double>& counts = slices[{s.height, s.width}];
    counts.resize(survey.classes.size(), 0);
    ++counts[static_cast<size_t>(*classes.find(manifest.rows[static_cast<size_t>(s.row)].label))];
  }
  const auto by_count = sizes_by_count(survey);
  BarPlot plot{.title = "Extents of the slices", .y_label = "slices"};
  for (const ClassSurvey& c : survey.classes) plot.series.push_back({.name = c.name});
  for (size_t i = 0; i < std::min(most_extents, by_count.size()); ++i) {
    const auto& extent = by_count[i].second;
    plot.groups.push_back(concat(extent.first, "x", extent.second));
    for (size_t c = 0; c < plot.series.size(); ++c) plot.series[c].values.push_back(slices[extent][c]);
  }
  return svg_bar_plot(plot);
}

std::string levels_plot(const DataSurvey& survey) {
  LinePlot plot{.title = "Grey levels", .x_label = concat("level, from ", first_level), .y_label = "share of the pixels, %", .y_min = 0.0};
  for (const ClassSurvey& c : survey.classes) {
    LineSeries line{.name = c.name};
    const double pixels = static_cast<double>(std::accumulate(c.histogram.begin(), c.histogram.end(), uint64_t{0}));
    for (size_t v = first_level; v < c.histogram.size() && pixels > 0; ++v) {
      line.x.push_back(static_cast<double>(v));
      line.y.push_back(100 * static_cast<double>(c.histogram[v]) / pixels);
    }
    plot.series.push_back(std::move(line));
  }
  return svg_line_plot(plot);
}

// A histogram with ten bins up to the 99th percentile and one for what is larger; of each class the share, so that classes can be compared.
std::string lesions_plot(const DataSurvey& survey, std::vector<double> ClassSurvey::*sizes, const std::string& title) {
  std::vector<double> all;
  for (const ClassSurvey& c : survey.classes) all.insert(all.end(), (c.*sizes).begin(), (c.*sizes).end());
  std::sort(all.begin(), all.end());
  const std::vector<double> borders = nice_ticks(0, quantile(all, 0.99), 10);
  const double step = borders.size() > 1 ? borders[1] - borders[0] : 1;
  BarPlot plot{.title = title, .y_label = "share of the class's lesions, %", .width = 760};
  for (size_t b = 0; b < borders.size(); ++b)
    plot.groups.push_back(b + 1 < borders.size() ? concat(tick_text(borders[b], step), "-", tick_text(borders[b + 1], step))
                                                 : concat(tick_text(borders[b], step), "+"));
  for (const ClassSurvey& c : survey.classes) {
    BarSeries bars{.name = c.name, .values = std::vector<double>(borders.size(), 0)};
    for (double size : c.*sizes)
      bars.values[static_cast<size_t>(std::upper_bound(borders.begin(), borders.end(), size) - borders.begin()) - 1] +=
          100 / static_cast<double>((c.*sizes).size());
    plot.series.push_back(std::move(bars));
  }
  return svg_bar_plot(plot);
}

constexpr size_t most_examples = 5;                                // of bad files and copies in the text; the JSON has all
constexpr std::array<double, 4> lesion_bins_mm = {5, 10, 20, 40};  // borders: under 5 mm is where detection is said to fail
constexpr double notable_deviation = 0.05;                         // share of a stratum's rows

std::string file_of(const Manifest& manifest, int64_t row) { return manifest.rows[static_cast<size_t>(row)].file; }

std::string counts_text(const DataSurvey& survey) {
  Table table = {{"slices (patients)", "train", "val", "test", "left out"}};
  for (const ClassSurvey& c : survey.classes) {
    table.push_back({c.name});
    for (size_t s = 0; s < 3; ++s) table.back().push_back(concat(c.slices[s], " (", c.patients[s], ")"));
    table.back().push_back(std::to_string(c.left_out));
  }
  std::string text = text_table(table, 0);
  for (const auto& [value, rows] : survey.left_out) text += concat("left out by split '", value, "': ", rows, "\n");
  for (const auto& [label, rows] : survey.other_labels) text += concat("not looked at, label '", label, "': ", rows, "\n");
  return text;
}

std::string extents_text(const DataSurvey& survey) {
  const auto by_slices = sizes_by_count(survey);
  std::string text = "extents (height x width): ";
  for (size_t i = 0; i < std::min(most_examples, by_slices.size()); ++i) {
    const auto& [slices, extent] = by_slices[i];
    text += concat(i ? ", " : "", extent.first, "x", extent.second, " (", slices, ")");
  }
  if (by_slices.size() > most_examples) text += concat(" and ", by_slices.size() - most_examples, " more");
  return text + "\n";
}

std::string levels_text(const DataSurvey& survey) {
  Table table = {{"grey levels", "mean", "deviation", "1 %", "50 %", "99 %"}};
  for (const ClassSurvey& c : survey.classes) {
    table.push_back({c.name, fixed(c.mean_level(), 1), fixed(c.level_deviation(), 1)});
    for (double share : {0.01, 0.5, 0.99}) table.back().push_back(std::to_string(c.level_percentile(share)));
  }
  return text_table(table, 0);
}

std::string lesions_text(const DataSurvey& survey) {
  if (std::all_of(survey.classes.begin(), survey.classes.end(), [](const ClassSurvey& c) { return c.masks == 0; })) return "no masks\n";
  Table table = {{"lesions, mm", "masks", "known", "min", "25 %", "50 %", "75 %", "max"}};
  for (size_t b = 0; b < lesion_bins_mm.size(); ++b) table[0].push_back(concat(b ? lesion_bins_mm[b - 1] : 0, "-", lesion_bins_mm[b]));
  table[0].push_back(concat(lesion_bins_mm.back(), "+"));
  std::string notes;
  for (const ClassSurvey& c : survey.classes) {
    const std::vector<double>& mm = c.lesion_mm;
    std::vector<std::string>& row = table.emplace_back();
    row = {c.name, std::to_string(c.masks), std::to_string(mm.size())};
    for (double share : {0.0, 0.25, 0.5, 0.75, 1.0}) row.push_back(fixed(quantile(mm, share), 1));
    auto from = mm.begin();
    for (double high : lesion_bins_mm) {
      const auto to = std::lower_bound(from, mm.end(), high);
      row.push_back(std::to_string(to - from));
      from = to;
    }
    row.push_back(std::to_string(mm.end() - from));
    if (!mm.empty())
      notes += concat(c.name, ": largest extent, median: ", fixed(quantile(c.lesion_extent_mm, 0.5), 1),
                      " mm; area, median: ", fixed(quantile(c.lesion_mm2, 0.5), 0), " mm2 (", fixed(c.lesion_mm2.front(), 0), " to ",
                      fixed(c.lesion_mm2.back(), 0), ")\n");
    if (c.empty_masks) notes += concat(c.name, ": ", c.empty_masks, " masks are empty\n");
  }
  return text_table(table, 0) + notes;
}

std::string problems_text(const DataSurvey& survey, const Manifest& manifest) {
  std::string text = concat("files that cannot be used: ", survey.bad.size(), "\n");
  for (size_t i = 0; i < std::min(most_examples, survey.bad.size()); ++i) text += concat("  ", survey.bad[i].reason, "\n");
  if (survey.bad.size() > most_examples) text += concat("  and ", survey.bad.size() - most_examples, " more\n");
  text += concat("slices that are stored more than once, byte for byte: ", survey.copies.size(), "\n");
  for (size_t i = 0; i < std::min(most_examples, survey.copies.size()); ++i) {
    std::vector<std::string> files;
    for (int64_t row : survey.copies[i]) files.push_back(file_of(manifest, row));
    text += concat("  ", joined(files, " "), "\n");
  }
  int64_t divided = 0;
  for (const NearCopy& pair : survey.similar) divided += are_divided(manifest, pair);
  text +=
      concat("pairs of slices that show the same picture (mirrored, turned, slightly rotated, brighter or darker): ", survey.similar.size(),
             ", ", divided, " of them in two splits\n");
  for (size_t i = 0; i < std::min(most_examples, survey.similar.size()); ++i) {
    const NearCopy& pair = survey.similar[i];
    text += concat("  ", file_of(manifest, pair.first), " and ", file_of(manifest, pair.second), ", ", pair.placement.name(), ", likeness ",
                   fixed(pair.likeness, 4), "\n");
  }
  return text;
}

}  // namespace

std::map<std::string, std::string> survey_plots(const DataSurvey& survey, const std::vector<ClassBalance>& balances,
                                                const Manifest& manifest, const ClassNames& classes) {
  std::map<std::string, std::string> plots = {{"extents.svg", extents_plot(survey, manifest, classes)},
                                              {"levels.svg", levels_plot(survey)}};
  if (!balances.empty()) plots["classes.svg"] = classes_plot(survey, balances);
  if (std::any_of(survey.classes.begin(), survey.classes.end(), [](const ClassSurvey& c) { return !c.lesion_mm.empty(); })) {
    plots["lesion_diameter.svg"] = lesions_plot(survey, &ClassSurvey::lesion_mm, "Equivalent diameter of lesions, mm");
    plots["lesion_area.svg"] = lesions_plot(survey, &ClassSurvey::lesion_mm2, "Area of lesions, mm\u00b2");
  }
  return plots;
}

std::string copies_csv(const DataSurvey& survey, const Manifest& manifest) {
  std::string text = format_csv_row({"first", "second", "first_split", "second_split", "how", "likeness"});
  const auto add = [&](int64_t first, int64_t second, const std::string& how, double likeness) {
    const ManifestRow &a = manifest.rows[static_cast<size_t>(first)], &b = manifest.rows[static_cast<size_t>(second)];
    text += format_csv_row({a.file, b.file, a.split, b.split, how, fixed(likeness, 4)});
  };
  for (const std::vector<int64_t>& same : survey.copies)
    for (size_t i = 1; i < same.size(); ++i) add(same[0], same[i], "the same bytes", 1);
  for (const NearCopy& pair : survey.similar) add(pair.first, pair.second, pair.placement.name(), pair.likeness);
  return text;
}

std::string survey_text(const DataSurvey& survey, const Manifest& manifest) {
  return joined({counts_text(survey), extents_text(survey), levels_text(survey), lesions_text(survey), problems_text(survey, manifest)},
                "\n");
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
  Table table = {{"rows (wanted)", "train", "val", "test"}};
  for (const StratumReport& s : report.strata) {
    table.push_back({s.name});
    const double total = static_cast<double>(s.rows[0] + s.rows[1] + s.rows[2]);
    bool notable = false;
    for (size_t k = 0; k < 3; ++k) {
      table.back().push_back(concat(s.rows[k], " (", fixed(s.wanted[k], 1), ")"));
      notable = notable || std::abs(static_cast<double>(s.rows[k]) - s.wanted[k]) > notable_deviation * total;
    }
    if (notable) table.back().push_back("out of balance");
  }
  text += text_table(table, 0);
  text += concat("largest deviation of a class: ", fixed(100 * report.largest_class_deviation, 1), " % of its slices\n");
  for (const auto& [column, deviation] : column_deviations(report))
    text += concat("largest deviation of ", column, ": ", fixed(deviation, 1), " slices in a class and split\n");
  return text;
}

}  // namespace dura
