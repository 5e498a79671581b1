#include "apps/report/prepare_report.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/report/copy_sheet.h"
#include "apps/report/survey_plots.h"
#include "apps/report/survey_report.h"
#include "data/image/codec.h"
#include "engine/base/file.h"

namespace dura {
namespace {

using nlohmann::json;

json shortcuts_json(const ShortcutReport& report) {
  json tables = json::array();
  for (const CrossTable& t : report.tables) {
    json table = {{"column", t.column}, {"gives_class_away", t.gives_class_away(shortcut_limit)}, {"rows", json::array()}};
    for (Split s : all_splits) {
      const double b = t.balanced_accuracy[static_cast<size_t>(s)];
      table["balanced_accuracy"][split_name(s)] = std::isfinite(b) ? json(b) : json(nullptr);
    }
    for (const CrossRow& row : t.rows) {
      json counts;
      for (Split s : all_splits) counts[split_name(s)] = row.slices[static_cast<size_t>(s)];
      table["rows"].push_back({{"value", row.value}, {"slices", counts}});
    }
    tables.push_back(table);
  }
  return {{"limit", shortcut_limit}, {"tables", tables}, {"left_out", report.left_out}};
}

}  // namespace

void describe_splits(PrepareReport& report, const Manifest& manifest, const ClassNames& classes, const std::vector<double>& weights) {
  report.balances = class_balances(report.survey, weights);
  report.shortcuts = find_shortcuts(report.survey, manifest, classes);
  report.leaks = find_leaks(manifest, rows_by_split(manifest));
  const auto trained_on = [](const ClassSurvey& c) { return c.slices[static_cast<size_t>(Split::train)] > 0; };
  if (std::all_of(report.survey.classes.begin(), report.survey.classes.end(), trained_on))
    report.control = control_classifier(control_data(report.survey, manifest, classes), classes.names());
}

std::string prepare_text(const PrepareReport& report, const Manifest& manifest, const ClassNames& classes) {
  std::string text = survey_text(report.survey, manifest);
  if (report.split) text += "\n" + split_text(*report.split);
  text += "\n" + class_balance_text(report.balances, report.survey);
  text += "\n" + shortcut_text(report.shortcuts, classes);
  if (report.control) text += "\n" + control_text(*report.control);
  return text;
}

std::string prepare_json(const PrepareReport& report, const Manifest& manifest, const ClassNames& classes) {
  json out = json::parse(survey_json(report.survey, manifest, report.split ? &*report.split : nullptr));
  out["format"] = "dura prepare 1";
  out["class_names"] = classes.names();
  out["leaks"] = report.leaks;
  out["class_balance"] = json::array();
  for (const ClassBalance& b : report.balances) {
    json shares = json::array();
    for (size_t c = 0; c < b.slices.size(); ++c) shares.push_back(b.share(c));
    out["class_balance"].push_back({{"name", b.name}, {"slices", b.slices}, {"shares", shares}});
  }
  out["shortcuts"] = shortcuts_json(report.shortcuts);
  if (report.control) out["control"] = json::parse(control_json(*report.control));
  return out.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

void write_prepare_report(const std::filesystem::path& folder, const PrepareReport& report, const Manifest& manifest,
                          const ClassNames& classes, const std::string& data) {
  write_file_atomically(folder / "prepare.json", prepare_json(report, manifest, classes));
  if (report.control) write_file_atomically(folder / "control.json", control_json(*report.control));
  for (const auto& [name, svg] : survey_plots(report.survey, report.balances, manifest, classes)) write_file_atomically(folder / name, svg);
  if (const std::optional<Image> copies = copy_sheet(report.survey, manifest, data)) write_png((folder / "copies.png").string(), *copies);
}

}  // namespace dura
