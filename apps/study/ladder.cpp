#include "apps/study/ladder.h"

#include <algorithm>
#include <filesystem>
#include <iostream>

#include "apps/study/child_runs.h"
#include "apps/study/shared_runs.h"
#include "apps/study/study.h"
#include "engine/base/log.h"

namespace dura {
namespace {

namespace fs = std::filesystem;

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

int run_ladder(const Program& program, LadderOptions o, Communicator& ranks) {
  if (o.full) o.size = 224, o.phase1_epochs = 5, o.phase2_epochs = 15;
  const StopRequest stop;
  const DataSplits data = open_splits(o.data, {}, ranks);
  for (const Split split : {Split::train, Split::val, Split::test}) data.require(split, o.data);  // before the first run finds it out
  const std::string rare = o.rare.empty() ? data.classes[0] : o.rare;
  const std::vector<StudyRow> rows = chosen_rows(study_ladder(data.classes.names(), rare, program.device()), o.rows);
  const std::vector<PlannedRun> runs = plan_runs(rows.size(), o.seeds);
  program.child_arguments();  // refuses what the runs cannot be given, before the first
  const fs::path out = o.out;
  prepare_shared_study(program, ranks, out, {o.weights}, data);

  StudyTable table{.rare = rare, .size = o.size, .phase1_epochs = o.phase1_epochs, .phase2_epochs = o.phase2_epochs, .rows = {}};
  for (const StudyRow& row : rows) table.rows.push_back({.row = row, .runs = {}});
  RunBudget budget(o.budget_hours);
  size_t at = 0, left = 0;
  const auto folder_of = [&](size_t i) { return out / concat(rows[runs[i].row].slug, "-seed", runs[i].seed); };
  const auto title_of = [&](size_t i) {
    return concat("run ", i + 1, " of ", runs.size(), ": ", rows[runs[i].row].name, ", seed ", runs[i].seed);
  };
  const auto ended = [&](int64_t run, const std::string& failure) {
    DURA_CHECK(failure.empty(), failure);
    budget.ends(run);
    const auto i = static_cast<size_t>(run);
    const StudyRun result = read_study_run(folder_of(i).string(), runs[i].seed, rare);
    log_info("  ", title_of(i), ": ", rare, " F1 ", result.f1, ", recall ", result.recall, ", gap ", result.gap(), ", ",
             result.epoch_seconds, " s per epoch, ", result.peak_memory_mib, " MiB");
    std::vector<StudyRun>& of_row = table.rows[runs[i].row].runs;
    of_row.push_back(result);
    std::sort(of_row.begin(), of_row.end(), [](const StudyRun& a, const StudyRun& b) { return a.seed < b.seed; });
    write_study(out, table);  // after each run: what is there can be read while the rest goes on
  };
  const auto next = [&]() -> std::optional<int64_t> {
    for (; at < runs.size(); ++at) {
      const auto run = static_cast<int64_t>(at);
      if (run_has_scores(folder_of(at), "test")) {
        ended(run, "");
      } else if (!budget.allows_another()) {
        ++left;
      } else {
        budget.begins(run);
        log_info(title_of(at++));
        return run;
      }
    }
    return {};
  };
  const auto make = [&](int64_t run, const std::function<void()>& meanwhile) {
    const auto i = static_cast<size_t>(run);
    return make_run(program,
                    {.train = training_of(o, rows[runs[i].row], runs[i].seed, folder_of(i).string()),
                     .splits = {"train", "val", "test"},
                     .precision = "f32",
                     .title = title_of(i),
                     .beside = ranks.ranks_on_own_host()},
                    stop, meanwhile);
  };
  if (!share_out(ranks, {.next = next, .make = make, .ended = ended}, stop)) {
    log_warning("interrupted. The same command goes on from here.");
    return stop.exit_code();
  }
  if (!ranks.is_first()) return 0;
  if (left > 0)
    log_warning("the budget of ", o.budget_hours, " hours would be exceeded: ", left, " of ", runs.size(),
                " runs are left. The same command goes on with them.");
  std::cout << study_text(table) << std::flush;
  log_info("wrote ", (out / "study.html").string(), ", study.csv and study.json beside it");
  return 0;
}

}  // namespace dura
