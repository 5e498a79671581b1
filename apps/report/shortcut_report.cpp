#include "apps/report/shortcut_report.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "apps/program/text_table.h"
#include "data/audit/shortcut.h"
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

}  // namespace dura
