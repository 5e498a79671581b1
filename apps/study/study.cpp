#include "apps/study/study.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "apps/program/json_values.h"
#include "data/set/csv.h"
#include "engine/base/check.h"
#include "engine/base/file.h"

namespace dura {
namespace {

namespace fs = std::filesystem;
constexpr uint64_t max_bytes = uint64_t{64} << 20;

double median(std::vector<double> values) {
  if (values.empty()) return NAN;
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

RareScores rare_scores(const fs::path& file, const std::string& rare) {
  try {
    const auto evaluation = nlohmann::json::parse(read_text_file(file, max_bytes));
    for (const auto& c : evaluation.at("results").at(0).at("classes")) {
      if (c.at("name") != rare) continue;
      const auto& f1 = c.at("f1");
      return {.precision = number(c.at("precision").at("value")),
              .recall = number(c.at("recall").at("value")),
              .f1 = number(f1.at("value")),
              .auc = number(c.at("auc").at("value")),
              .f1_low = number(f1.at("low")),
              .f1_high = number(f1.at("high"))};
    }
  } catch (const nlohmann::json::exception& e) {
    fail(file.string(), " is not what dura-evaluate writes: ", e.what(), ". Remove the run's folder and run the study again.");
  }
  fail(file.string(), " has no class '", rare, "'. Remove the run's folder and run the study again.");
}

std::string settings_text(const StudySettings& settings) {
  std::string text;
  for (const auto& [option, values] : settings) {
    text += (text.empty() ? "--" : " --") + option;
    for (const std::string& value : values) text += " " + value;
  }
  return text;
}

std::vector<StudyRow> study_ladder(const std::vector<std::string>& classes, const std::string& rare, Device device) {
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
  add("mixed precision", {{"precision", {device == Device::cpu ? "bf16" : "f16"}}});
  add("batch 16", {{"batch", {"16"}}});
  add("CLAHE, noise removal", {{"clahe", {"2"}}, {"denoise", {"salt-and-pepper"}}});
  add("sharpness", {{"augment-class", {}}});
  for (size_t i = 0; i < rows.size(); ++i) rows[i].slug = slug_of(i, rows[i].name);
  return rows;
}

std::vector<StudyRow> chosen_rows(const std::vector<StudyRow>& ladder, const std::vector<std::string>& slugs) {
  if (slugs.empty()) return ladder;
  std::vector<StudyRow> chosen;
  for (const std::string& slug : slugs) {
    const auto found = std::find_if(ladder.begin(), ladder.end(), [&](const StudyRow& row) { return row.slug == slug; });
    if (found == ladder.end()) {
      std::string known;
      for (const StudyRow& row : ladder) known += " " + row.slug;
      fail_usage("--rows ", slug, ": there is no such row. Use some of", known);
    }
    chosen.push_back(*found);
  }
  return chosen;
}

std::vector<PlannedRun> plan_runs(size_t rows, int64_t seeds) {
  std::vector<PlannedRun> runs;
  for (int64_t seed = 0; seed < seeds; ++seed)
    for (size_t row = 0; row < rows; ++row)
      if (seed == 0 || row == 0 || row + 1 == rows) runs.push_back({row, seed});
  return runs;
}

StudyRun read_study_run(const std::string& run, int64_t seed, const std::string& rare) {
  StudyRun result{.run = run, .seed = seed};
  const CsvTable history = read_csv(fs::path(run) / "history.csv");
  const auto cells = [&](const std::string& name, const std::string& phase) {
    const size_t column = history.column(name, "Remove the run's folder and run the study again.");
    std::vector<double> values;
    for (const CsvRow& row : history.rows)
      if (phase.empty() || row.fields[0] == phase) values.push_back(std::strtod(row.fields[column].c_str(), nullptr));
    return values;
  };
  const std::vector<double> phase2 = cells("seconds", "phase2"), memory = cells("peak_memory_mib", "");
  result.epoch_seconds = median(phase2.empty() ? cells("seconds", "") : phase2);
  result.peak_memory_mib = memory.empty() ? NAN : *std::max_element(memory.begin(), memory.end());

  const auto scores = [&](const char* split) { return rare_scores(fs::path(run) / concat("evaluation_", split, ".json"), rare); };
  const RareScores test = scores("test");
  result.f1 = test.f1, result.recall = test.recall, result.precision = test.precision;
  result.f1_low = test.f1_low, result.f1_high = test.f1_high;
  result.train_f1 = scores("train").f1;
  result.val_f1 = scores("val").f1;
  return result;
}

StudyFigure study_figure(const std::vector<StudyRun>& runs, double (*value)(const StudyRun&)) {
  std::vector<double> values;
  for (const StudyRun& run : runs) values.push_back(value(run));
  if (values.empty()) return {NAN, NAN, NAN};
  return {median(values), *std::min_element(values.begin(), values.end()), *std::max_element(values.begin(), values.end())};
}

}  // namespace dura
