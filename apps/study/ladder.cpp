#include "apps/study/ladder.h"

#include <chrono>
#include <filesystem>
#include <iostream>

#include "apps/study/child_runs.h"
#include "apps/study/study.h"
#include "engine/base/log.h"

namespace dura {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double hours_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count() / 3600; }

// What a run of this row is told: the study's options, then the row's.
TrainOptions training_of(const LadderOptions& o, const StudyRow& row, int64_t seed, const std::string& folder) {
  TrainOptions train = {.data = o.data,
                        .out = folder,
                        .weights = o.weights,
                        .depth = o.depth,
                        .phase1_epochs = o.phase1_epochs,
                        .phase2_epochs = o.phase2_epochs,
                        .seed = seed,
                        .phase2_lr = o.phase2_lr};
  train.preprocessing.size = o.size;
  OptionSet settings("dura-train");
  train.declare(settings);
  for (const auto& [option, values] : row.settings) settings.set(option, values);
  return train;
}

}  // namespace

int run_ladder(const Program& program, LadderOptions o) {
  if (o.full) o.size = 224, o.phase1_epochs = 5, o.phase2_epochs = 15;
  const StopRequest stop;
  const DataSplits data = open_splits(o.data);
  for (const Split split : {Split::train, Split::val, Split::test}) data.require(split, o.data);  // before the first run finds it out
  const std::string rare = o.rare.empty() ? data.classes[0] : o.rare;
  const std::vector<StudyRow> rows = chosen_rows(study_ladder(data.classes.names(), rare), o.rows);
  const std::vector<PlannedRun> runs = plan_runs(rows.size(), o.seeds);
  program.child_arguments();  // refuses what the runs cannot be given, before the first
  const fs::path out = o.out;
  fs::create_directories(out);

  const Clock::time_point begin = Clock::now();
  StudyTable table{.rare = rare, .size = o.size, .phase1_epochs = o.phase1_epochs, .phase2_epochs = o.phase2_epochs, .rows = {}};
  for (const StudyRow& row : rows) table.rows.push_back({.row = row, .runs = {}});
  size_t begun = 0, left = 0;
  for (size_t i = 0; i < runs.size(); ++i) {
    const StudyRow& row = rows[runs[i].row];
    const fs::path folder = out / concat(row.slug, "-seed", runs[i].seed);
    if (!run_has_scores(folder, "test")) {
      // One more run would take what those of this call took on average. The first has no such estimate and always begins.
      const double expected = begun == 0 ? 0 : hours_since(begin) * static_cast<double>(begun + 1) / static_cast<double>(begun);
      if (o.budget_hours > 0 && expected > o.budget_hours) {
        ++left;
        continue;
      }
      ++begun;
    }
    const ChildRun run = {.train = training_of(o, row, runs[i].seed, folder.string()),
                          .splits = {"train", "val", "test"},
                          .precision = "f32",
                          .title = concat("run ", i + 1, " of ", runs.size(), ": ", row.name, ", seed ", runs[i].seed)};
    if (!make_run(program, run, stop)) {
      log_warning("interrupted. The same command goes on from here.");
      return stop.exit_code();
    }
    const StudyRun result = read_study_run(folder.string(), runs[i].seed, rare);
    log_info("  ", rare, " F1 ", result.f1, ", recall ", result.recall, ", gap ", result.gap(), ", ", result.epoch_seconds,
             " s per epoch, ", result.peak_memory_mib, " MiB");
    table.rows[runs[i].row].runs.push_back(result);
    write_study(out, table);  // after each run: what is there can be read while the rest goes on
  }
  if (left > 0)
    log_warning("the budget of ", o.budget_hours, " hours would be exceeded: ", left, " of ", runs.size(),
                " runs are left. The same command goes on with them.");
  std::cout << study_text(table) << std::flush;
  log_info("wrote ", (out / "study.html").string(), ", study.csv and study.json beside it");
  return 0;
}

}  // namespace dura
