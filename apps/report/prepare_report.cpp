#include "apps/report/prepare_report.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "apps/program/text_table.h"
#include "apps/report/picture_sheets.h"
#include "apps/report/survey_report.h"
#include "data/audit/shortcut.h"
#include "data/image/codec.h"
#include "engine/base/file.h"
#include "engine/base/numbers.h"
#include "engine/base/text.h"

namespace dura {

namespace {

constexpr int number_bins = 8;
constexpr size_t most_values = 20;  // more distinct texts are names or numbers of files

struct Column {
  std::string name;
  std::vector<std::string> values;  // by manifest row; empty where it is not known
};

std::vector<Column> columns_of(const DataSurvey& survey, const Manifest& manifest) {
  std::vector<Column> columns;
  for (const std::string& name : manifest.extra_columns()) {
    columns.push_back({name, {}});
    for (const ManifestRow& row : manifest.rows) columns.back().values.push_back(manifest.value(row, name));
  }
  const std::vector<std::string> nothing(manifest.rows.size());
  Column type{"(file type)", nothing}, size{"(height x width)", nothing}, color{"(colour)", nothing},
      lesion{"(lesion diameter, mm)", nothing};
  for (const SliceSurvey& slice : survey.readable) {
    const auto i = static_cast<size_t>(slice.row);
    type.values[i] = lower_case(std::filesystem::path(manifest.rows[i].file).extension().string());
    size.values[i] = concat(slice.height, "x", slice.width);
    color.values[i] = slice.channels == 1 ? "gray" : "color";
    if (slice.lesion && slice.lesion->diameter_mm > 0) lesion.values[i] = fixed(slice.lesion->diameter_mm, 2);
  }
  for (Column& c : std::array{type, size, color, lesion}) columns.push_back(std::move(c));
  return columns;
}

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
  for (const NearCopy& pair : survey.similar)
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

ShortcutReport find_shortcuts(const DataSurvey& survey, const Manifest& manifest, const ClassNames& classes) {
  const SplitRows splits = rows_by_split(manifest);
  std::vector<int32_t> labels(manifest.rows.size(), -1);
  for (const SliceSurvey& slice : survey.readable) {
    const ManifestRow& row = manifest.rows[static_cast<size_t>(slice.row)];
    if (parse_split(row.split)) labels[static_cast<size_t>(slice.row)] = *classes.find(row.label);
  }
  ShortcutReport report;
  for (Column& column : columns_of(survey, manifest)) {
    // Slices outside of the splits have no say in where the bins lie.
    for (size_t i = 0; i < labels.size(); ++i)
      if (labels[i] < 0) column.values[i].clear();
    CrossTable table = cross_table(column.name, column_bins(column.values, number_bins), labels, splits, classes.size());
    if (table.rows.size() > most_values)
      report.left_out.push_back(column.name);
    else if (table.rows.size() >= 2)
      report.tables.push_back(std::move(table));
  }
  return report;
}

std::string shortcut_text(const ShortcutReport& report, const ClassNames& classes) {
  std::string text = "how well one column alone tells the classes apart (balanced accuracy; chance is " +
                     fixed(1.0 / static_cast<double>(classes.size()), 2) + ")\n";
  Table table = {{"column", "values", "train", "val", "test"}};
  for (const CrossTable& t : report.tables) {
    table.push_back({t.column, std::to_string(t.rows.size())});
    for (double b : t.balanced_accuracy) table.back().push_back(fixed(b));
    if (t.gives_class_away(shortcut_limit)) table.back().push_back("gives the class away");
  }
  text += text_table(table, 0);
  if (!report.left_out.empty()) text += concat("not tabulated, too many values: ", joined(report.left_out, " "), "\n");
  return text;
}

std::vector<std::string> shortcut_warnings(const ShortcutReport& report) {
  std::vector<std::string> warnings;
  for (const CrossTable& t : report.tables)
    if (t.gives_class_away(shortcut_limit))
      warnings.push_back(concat("column ", t.column, " gives the class away: with it alone, balanced accuracy is ",
                                fixed(t.balanced_accuracy[0], 3),
                                " in training. What goes with it in the pictures may be learnt in the place of the lesion."));
  return warnings;
}

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
