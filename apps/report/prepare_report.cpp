#include "apps/report/prepare_report.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "apps/report/picture_sheets.h"
#include "apps/report/survey_report.h"
#include "data/image/codec.h"
#include "engine/base/numbers.h"
#include "engine/base/file.h"

namespace dura {
namespace {

using nlohmann::json;

json quartiles(const std::vector<double>& v) {
  return {{"count", v.size()},          {"min", quantile(v, 0)},   {"q1", quantile(v, 0.25)},
          {"median", quantile(v, 0.5)}, {"q3", quantile(v, 0.75)}, {"max", quantile(v, 1)}};
}

json class_json(const ClassSurvey& c) {
  json splits;
  for (Split s : all_splits)
    splits[split_name(s)] = {{"slices", c.slices[static_cast<size_t>(s)]}, {"patients", c.patients[static_cast<size_t>(s)]}};
  return {{"name", c.name},
          {"splits", splits},
          {"left_out", c.left_out},
          {"grey_levels",
           {{"mean", c.mean_level()},
            {"deviation", c.level_deviation()},
            {"p1", c.level_percentile(0.01)},
            {"p50", c.level_percentile(0.5)},
            {"p99", c.level_percentile(0.99)}}},
          {"masks", c.masks},
          {"empty_masks", c.empty_masks},
          {"lesion_mm", quartiles(c.lesion_mm)},
          {"lesion_extent_mm", quartiles(c.lesion_extent_mm)},
          {"lesion_mm2", quartiles(c.lesion_mm2)}};
}

json survey_json(const DataSurvey& survey, const Manifest& manifest) {
  const auto file_of = [&](int64_t row) { return manifest.rows[static_cast<size_t>(row)].file; };
  json out = {{"slices", survey.slices}, {"left_out", survey.left_out}, {"other_labels", survey.other_labels}};
  for (const char* list : {"extents", "bad", "copies", "similar"}) out[list] = json::array();
  for (const ClassSurvey& c : survey.classes) out["classes"].push_back(class_json(c));
  for (const auto& [extent, slices] : survey.extents)
    out["extents"].push_back({{"height", extent.first}, {"width", extent.second}, {"slices", slices}});
  for (const BadImage& b : survey.bad) out["bad"].push_back({{"file", b.file}, {"reason", b.reason}});
  for (const std::vector<int64_t>& same : survey.copies) {
    json files = json::array();
    for (int64_t row : same) files.push_back(file_of(row));
    out["copies"].push_back(files);
  }
  for (const SimilarRows& pair : survey.similar)
    out["similar"].push_back({{"first", file_of(pair.first)},
                              {"second", file_of(pair.second)},
                              {"how", pair.placement.name()},
                              {"likeness", pair.likeness},
                              {"divided", are_divided(manifest, pair)}});
  return out;
}

json split_json(const SplitReport& split) {
  json strata = json::array();
  for (const StratumReport& s : split.strata) strata.push_back({{"name", s.name}, {"rows", s.rows}, {"wanted", s.wanted}});
  return {{"units", split.units},
          {"largest_class_deviation", split.largest_class_deviation},
          {"strata", strata},
          {"column_deviations", column_deviations(split)}};
}

json shortcuts_json(const ShortcutReport& report) {
  json tables = json::array();
  for (const CrossTable& t : report.tables) {
    json table = {{"column", t.column}, {"gives_class_away", t.gives_class_away(shortcut_limit)}, {"rows", json::array()}};
    for (Split s : all_splits) table["balanced_accuracy"][split_name(s)] = t.balanced_accuracy[static_cast<size_t>(s)];
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
  json out = survey_json(report.survey, manifest);
  out["format"] = "dura prepare 1";
  if (report.split) out["split"] = split_json(*report.split);
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
  // File names may hold bytes that are no UTF-8: replace them rather than fail at the very end.
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
