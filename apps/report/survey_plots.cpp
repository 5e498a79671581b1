#include "apps/report/survey_plots.h"

#include <algorithm>
#include <numeric>

#include "apps/report/svg.h"
#include "engine/base/numbers.h"

namespace dura {
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

std::string extents_plot(const DataSurvey& survey, const Manifest& manifest, const ClassNames& classes) {
  std::map<std::pair<int64_t, int64_t>, std::vector<double>> slices;
  for (const SliceSurvey& s : survey.readable) {
    std::vector<double>& counts = slices[{s.height, s.width}];
    counts.resize(survey.classes.size(), 0);
    ++counts[static_cast<size_t>(*classes.find(manifest.rows[static_cast<size_t>(s.row)].label))];
  }
  std::vector<std::pair<double, std::pair<int64_t, int64_t>>> by_count;
  for (const auto& [extent, counts] : slices) by_count.push_back({std::accumulate(counts.begin(), counts.end(), 0.0), extent});
  std::sort(by_count.rbegin(), by_count.rend());
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

}  // namespace dura
