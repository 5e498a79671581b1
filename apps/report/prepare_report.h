// All that dura-prepare found out about a data set: as text, as one JSON object (prepare.json, docs/formats.md), and as plots.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "apps/report/control_classifier.h"
#include "apps/report/survey_report.h"
#include "data/audit/shortcut.h"

namespace dura {

// The columns of a manifest, and what can be seen of a file without its content, tabulated against the class.
struct ShortcutReport {
  std::vector<CrossTable> tables = {};     // of columns with at least two values in the splits
  std::vector<std::string> left_out = {};  // columns of text with too many values, such as names
};

// The columns that dura does not know, numbers in eight bins; file type, size, colour and lesion diameter of the slices themselves.
ShortcutReport find_shortcuts(const DataSurvey& survey, const Manifest& manifest, const ClassNames& classes);

std::string shortcut_text(const ShortcutReport& report, const ClassNames& classes);
// One sentence for each column that gives the class away.
std::vector<std::string> shortcut_warnings(const ShortcutReport& report);

struct PrepareReport {
  DataSurvey survey;
  std::optional<SplitReport> split = {};  // where it was made anew
  std::vector<ClassBalance> balances = {};
  ShortcutReport shortcuts = {};
  std::optional<ControlReport> control = {};  // where training has slices of every class
  std::vector<std::string> leaks = {};        // patients or groups in two splits
};

// The parts that need the splits. `weights`: of classes in the loss; empty: equal classes.
void describe_splits(PrepareReport& report, const Manifest& manifest, const ClassNames& classes, const std::vector<double>& weights);

std::string prepare_text(const PrepareReport& report, const Manifest& manifest, const ClassNames& classes);
std::string prepare_json(const PrepareReport& report, const Manifest& manifest, const ClassNames& classes);

// Into an existing folder: prepare.json, control.json (where there is a control), classes.svg, levels.svg, extents.svg, lesion_diameter.svg
// and lesion_area.svg (where lesions are known), copies.png (picture_sheets.h, where there are copies). `data`: the folder of the slices.
void write_prepare_report(const std::filesystem::path& folder, const PrepareReport& report, const Manifest& manifest,
                          const ClassNames& classes, const std::string& data);

}  // namespace dura
