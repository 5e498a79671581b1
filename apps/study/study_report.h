// The before/after table of a study: as text, CSV, JSON and a page with plots. Every figure is a run's own, named with its folder.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "apps/study/study.h"

namespace dura {

struct StudyTableRow {
  StudyRow row;
  std::vector<StudyRun> runs;  // empty: not run yet
};

struct StudyTable {
  std::string rare;
  int64_t size = 0, phase1_epochs = 0, phase2_epochs = 0;
  std::vector<StudyTableRow> rows;
};

std::string study_text(const StudyTable& table);
// study.csv (a line per run), study.json and study.html in the folder `out`.
void write_study(const std::filesystem::path& out, const StudyTable& table);

}  // namespace dura
