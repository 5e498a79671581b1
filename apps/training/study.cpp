#include "apps/training/study.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include "data/csv.h"
#include "engine/check.h"
#include "engine/file.h"

namespace dura {
namespace {

namespace fs = std::filesystem;
constexpr uint64_t max_bytes = uint64_t{64} << 20;
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

double median(std::vector<double> values) {
  if (values.empty()) return nan;
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return n % 2 ? values[n / 2] : 0.5 * (values[n / 2 - 1] + values[n / 2]);
}

std::string slug_of(size_t number, const std::string& name) {
  std::string slug = std::to_string(number) + "-";
  for (char c : name)
    if (std::isalnum(static_cast<unsigned char>(c)))
      slug += c;
    else if (slug.back() != '-')
      slug += '-';
  return slug;
}

}  // namespace

std::vector<StudyRow> study_ladder(const std::vector<std::string>& classes, const std::string& rare) {
  DURA_CHECK(std::find(classes.begin(), classes.end(), rare) != classes.end(), "the study's rare class '", rare,
             "' is not one of the data's");
  std::vector<std::string> weights;
  for (const std::string& c : classes) weights.push_back(c + (c == rare ? "=4" : "=1"));

  std::vector<StudyRow> rows = {{.name = "baseline",
                                 .slug = {},
                                 .settings = {{"batch", {"32"}},
                                              {"dropout", {"0"}},
                                              {"patience", {"0"}},
                                              {"unfreeze", {"all"}},
                                              {"augment", {"none"}},
                                              {"rare-class", {rare}}}}};
  const auto add = [&](const std::string& name, const StudySettings& changes) {
    StudyRow row = {.name = name, .slug = {}, .settings = rows.back().settings};
    for (const auto& [option, values] : changes) row.settings[option] = values;
    rows.push_back(row);
  };
  add("class weights", {{"class-weight", weights}});
  add("class-specific augmentation", {{"augment", {"mission"}}});
  add("dropout, early stopping", {{"dropout", {"0.5"}}, {"patience", {"5"}}});
  add("limited fine-tuning", {{"unfreeze", {"keras50"}}});
  add("batch 16", {{"batch", {"16"}}});
  for (size_t i = 0; i < rows.size(); ++i) rows[i].slug = slug_of(i, rows[i].name);
  return rows;
}

StudyRun read_study_run(const std::string& run, int64_t seed, const std::string& rare) {
  StudyRun result{.run = run, .seed = seed};
  const std::string history_name = (fs::path(run) / "history.csv").string();
  const CsvTable history = parse_csv(read_text_file(history_name, max_bytes), history_name);
  const auto cells = [&](const std::string& column, const std::string& phase) {
    std::vector<double> values;
    const auto found = std::find(history.header.begin(), history.header.end(), column);
    DURA_CHECK(found != history.header.end(), history_name, " has no column '", column,
               "'. Remove the run's folder and run the study again.");
    for (const CsvRow& row : history.rows)
      if (phase.empty() || row.fields[0] == phase)
        values.push_back(std::strtod(row.fields[static_cast<size_t>(found - history.header.begin())].c_str(), nullptr));
    return values;
  };
  const std::vector<double> phase2 = cells("seconds", "phase2"), memory = cells("peak_memory_mib", "");
  result.epoch_seconds = median(phase2.empty() ? cells("seconds", "") : phase2);
  result.peak_memory_mib = memory.empty() ? nan : *std::max_element(memory.begin(), memory.end());

  return result;
}

StudyFigure study_figure(const std::vector<StudyRun>& runs, double (*value)(const StudyRun&)) {
  std::vector<double> values;
  for (const StudyRun& run : runs) values.push_back(value(run));
  if (values.empty()) return {nan, nan, nan};
  return {median(values), *std::min_element(values.begin(), values.end()), *std::max_element(values.begin(), values.end())};
}

}  // namespace dura
