// The columns of a manifest, and what can be seen of a file without its content, tabulated against the class: as text, with a warning where
// one of them gives the class away.
#pragma once
#include <string>
#include <vector>

#include "data/audit/shortcut.h"
#include "data/audit/survey.h"

namespace dura {

struct ShortcutReport {
  std::vector<CrossTable> tables = {};     // of columns with at least two values in the splits
  std::vector<std::string> left_out = {};  // columns of text with too many values, such as names
};

// The columns that dura does not know, numbers in eight bins; file type, size, colour and lesion diameter of the slices themselves.
ShortcutReport find_shortcuts(const DataSurvey& survey, const Manifest& manifest, const ClassNames& classes);

std::string shortcut_text(const ShortcutReport& report, const ClassNames& classes);
// One sentence for each column that gives the class away.
std::vector<std::string> shortcut_warnings(const ShortcutReport& report);

}  // namespace dura
