// A search over named settings: each is trained and scored in every fold of a cross-validation by patient (cross_validation.h), and the one
// with the best F1 of the rare class, mean over folds less one standard error, is recommended. The manifest's test pictures take no part.
#pragma once
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "apps/program/data_options.h"
#include "apps/program/program.h"
#include "apps/study/study.h"

namespace dura {

struct SearchOptions {
  DataOptions data = {};
  std::string weights = {}, rare = {}, out = {}, base = {};
  std::vector<std::string> settings = {};  // configuration files of dura-train, each with what it changes in `base`
  int64_t folds = 5, keep = 0;             // keep: after the first fold only so many go on, the best; 0: all
  double budget_hours = 0;                 // 0: no limit
};

// What one setting showed in one fold: on the pictures of patients that neither training nor validation saw, with the threshold that
// validation chose.
struct FoldResult {
  double f1 = NAN, auc = NAN;
  double seconds = 0;  // of training
};

struct SearchRow {
  std::string name;       // of its file, without .toml
  StudySettings changes;  // what the file says
  std::vector<FoldResult> folds = {};
  std::string failure = {};  // why a run failed; the setting is given up then
  bool left_out = false;     // after the first fold

  double mean_f1() const;
  double standard_error() const;  // of the mean over folds, n - 1; 0 for one fold
  double score() const { return mean_f1() - standard_error(); }
  double mean_auc() const;
  double hours() const;
};

struct SearchTable {
  std::string rare;
  int64_t folds = 0;
  std::vector<SearchRow> rows;

  // Rows with all folds by falling score, then the others by falling mean, those without any at last. Equals in the order of the settings.
  std::vector<size_t> order() const;
  // The first of them, where it has all folds.
  const SearchRow* best() const;
};

std::string search_text(const SearchTable& table);
// search.csv (a line for each setting and fold), search.json and search.html in the folder `out`.
void write_search(const std::filesystem::path& out, const SearchTable& table);

// Runs what is not done yet, the first fold of every setting first, a run at a time in each process, and writes the table after each run.
// What is in the folder `out` already is not run again. Returns the program's exit code.
int search(const Program& program, const SearchOptions& options, Communicator& ranks);

}  // namespace dura
