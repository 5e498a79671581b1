#include "apps/study/study.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include "apps/metrics/bootstrap.h"
#include "apps/metrics/metrics.h"
#include "data/set/csv.h"
#include "engine/base/check.h"
#include "engine/base/file.h"

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

size_t column_of(const CsvTable& table, const std::string& name, const std::string& file) {
  const auto found = std::find(table.header.begin(), table.header.end(), name);
  DURA_CHECK(found != table.header.end(), file, " has no column '", name, "'. Remove the run's folder and run the study again.");
  return static_cast<size_t>(found - table.header.begin());
}

CsvTable read_table(const fs::path& file) { return parse_csv(read_text_file(file, max_bytes), file.string()); }

struct RareScores {
  double precision = 0, recall = 0, f1 = 0;
};

// From the predictions themselves (label, predicted).
RareScores scores_of(const fs::path& file, const std::string& rare) {
  const CsvTable table = read_table(file);
  const size_t label = column_of(table, "label", file.string()), predicted = column_of(table, "predicted", file.string());
  Confusion confusion(2);
  for (const CsvRow& row : table.rows) confusion.add(row.fields[label] == rare ? 0 : 1, row.fields[predicted] == rare ? 0 : 1);
  return {confusion.precision(0), confusion.recall(0), confusion.f1(0)};
}

// The 95 % interval of the rare class's F1 on the untouched pictures, from dura-evaluate's JSON.
Interval f1_interval(const fs::path& file, const std::string& rare) {
  try {
    const auto evaluation = nlohmann::json::parse(read_text_file(file, max_bytes));
    const auto value = [](const nlohmann::json& j) { return j.is_number() ? j.get<double>() : nan; };
    for (const auto& c : evaluation.at("results").at(0).at("classes"))
      if (c.at("name") == rare) return {value(c.at("f1").at("low")), value(c.at("f1").at("high"))};
  } catch (const nlohmann::json::exception& e) {
    fail(file.string(), " is not what dura-evaluate writes: ", e.what(), ". Remove the run's folder and run the study again.");
  }
  fail(file.string(), " has no class '", rare, "'. Remove the run's folder and run the study again.");
}

}  // namespace

std::vector<StudyRow> study_ladder(const std::vector<std::string>& classes, const std::string& rare) {
  if (std::find(classes.begin(), classes.end(), rare) == classes.end())
    fail_usage("the study's rare class '", rare, "' is not one of the data's");
  std::vector<std::string> weights;
  for (const std::string& c : classes) weights.push_back(c + (c == rare ? "=4" : "=1"));

  std::vector<StudyRow> rows = {{.name = "baseline",
                                 .slug = {},
                                 .settings = {{"batch", {"32"}},
                                              {"dropout", {"0"}},
                                              {"patience", {"0"}},
                                              {"restore", {"last"}},
                                              {"unfreeze", {"all"}},
                                              {"augment", {"none"}},
                                              {"rare-class", {rare}}}}};
  const auto add = [&](const std::string& name, const StudySettings& changes) {
    StudyRow row = {.name = name, .slug = {}, .settings = rows.back().settings};
    for (const auto& [option, values] : changes) row.settings[option] = values;
    std::erase_if(row.settings, [](const auto& setting) { return setting.second.empty(); });
    rows.push_back(row);
  };
  std::vector<std::string> blunt;  // augmentation as the mission has it, but sharpness left as it is
  for (const std::string& c : classes) blunt.push_back(c + "=sharpness_p=0");
  add("class weights", {{"class-weight", weights}});
  add("class-specific augmentation", {{"augment", {"mission"}}, {"augment-class", blunt}});
  add("dropout, early stopping", {{"dropout", {"0.5"}}, {"patience", {"5"}}, {"restore", {"best"}}});
  add("limited fine-tuning", {{"unfreeze", {"keras50"}}});
  add("mixed precision", {{"precision", {"f16"}}});
  add("batch 16", {{"batch", {"16"}}});
  add("CLAHE, noise removal", {{"clahe", {"2"}}, {"denoise", {"salt-and-pepper"}}});
  add("sharpness", {{"augment-class", {}}});
  for (size_t i = 0; i < rows.size(); ++i) rows[i].slug = slug_of(i, rows[i].name);
  return rows;
}

StudyRun read_study_run(const std::string& run, int64_t seed, const std::string& rare) {
  StudyRun result{.run = run, .seed = seed};
  const fs::path history_file = fs::path(run) / "history.csv";
  const CsvTable history = read_table(history_file);
  const auto cells = [&](const std::string& name, const std::string& phase) {
    const size_t column = column_of(history, name, history_file.string());
    std::vector<double> values;
    for (const CsvRow& row : history.rows)
      if (phase.empty() || row.fields[0] == phase) values.push_back(std::strtod(row.fields[column].c_str(), nullptr));
    return values;
  };
  const std::vector<double> phase2 = cells("seconds", "phase2"), memory = cells("peak_memory_mib", "");
  result.epoch_seconds = median(phase2.empty() ? cells("seconds", "") : phase2);
  result.peak_memory_mib = memory.empty() ? nan : *std::max_element(memory.begin(), memory.end());

  const RareScores test = scores_of(fs::path(run) / "predictions_test.csv", rare);
  const Interval interval = f1_interval(fs::path(run) / "evaluation_test.json", rare);
  result.f1_low = interval.low, result.f1_high = interval.high;
  result.f1 = test.f1, result.recall = test.recall, result.precision = test.precision;
  result.train_f1 = scores_of(fs::path(run) / "predictions_train.csv", rare).f1;
  result.val_f1 = scores_of(fs::path(run) / "predictions_val.csv", rare).f1;
  return result;
}

StudyFigure study_figure(const std::vector<StudyRun>& runs, double (*value)(const StudyRun&)) {
  std::vector<double> values;
  for (const StudyRun& run : runs) values.push_back(value(run));
  if (values.empty()) return {nan, nan, nan};
  return {median(values), *std::min_element(values.begin(), values.end()), *std::max_element(values.begin(), values.end())};
}

}  // namespace dura
