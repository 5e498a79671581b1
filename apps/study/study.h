// The ladder of a study: from a baseline that takes none of the measures to the optimised configuration, one measure added per row, all
// else equal: the same split, weights, size and epochs. A row is what it changes in dura-train's options; rows are cumulative.
#pragma once
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "engine/core/device.h"

namespace dura {

using StudySettings = std::map<std::string, std::vector<std::string>>;  // dura-train's option without dashes -> its values

struct StudyRow {
  std::string name;        // "class weights"
  std::string slug;        // its folder: "1-class-weights"
  StudySettings settings;  // all of them, those of the rows above included
};

// `rare`: name of the class that the measures are for; it weighs 4, the others 1, as in the mission. Mixed precision is f16 on cards,
// and bf16 on the CPU: some processors multiply it, and none of those known here f16 with f32 sums.
std::vector<StudyRow> study_ladder(const std::vector<std::string>& classes, const std::string& rare, Device device);

// The rows of these folders' names, in their order; all where none is named. UsageError for a name that no row has.
std::vector<StudyRow> chosen_rows(const std::vector<StudyRow>& ladder, const std::vector<std::string>& slugs);

struct PlannedRun {
  size_t row;
  int64_t seed;
};
// The first and the last row over all seeds, the others over one; one seed of every row first, so that a study cut short has a whole table.
std::vector<PlannedRun> plan_runs(size_t rows, int64_t seeds);

// "--batch 16 --dropout 0.5"
std::string settings_text(const StudySettings& settings);

// The rare class on the untouched pictures, from an evaluation_<split>.json. Error where the file or the class is missing.
struct RareScores {
  double precision = 0, recall = 0, f1 = 0, auc = 0;  // NaN where not defined
  double f1_low = 0, f1_high = 0;                     // NaN where there is no interval
};
RareScores rare_scores(const std::filesystem::path& file, const std::string& rare);

// What one run of a row showed. Rare class, untouched test set.
struct StudyRun {
  std::string run;  // its folder
  int64_t seed = 0;
  double f1 = 0, recall = 0, precision = 0;
  double f1_low = NAN, f1_high = NAN;  // 95 % bootstrap interval over patients; NaN where it is not known
  double train_f1 = 0, val_f1 = 0;     // of the final model, nothing augmented or dropped
  double epoch_seconds = 0;            // median of phase 2's epochs, of all where it has none
  double peak_memory_mib = 0;          // of the training process, or of its tensors on a CUDA device
  double gap() const { return train_f1 - val_f1; }
};

// Reads what dura-train and dura-evaluate left in the folder `run`. Error where a file is missing or damaged.
StudyRun read_study_run(const std::string& run, int64_t seed, const std::string& rare);

struct StudyFigure {
  double median = 0, low = 0, high = 0;  // over the runs
};
StudyFigure study_figure(const std::vector<StudyRun>& runs, double (*value)(const StudyRun&));

// The before/after table of a study: as text, CSV, JSON and a page with plots. Every figure is a run's own, named with its folder.
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
