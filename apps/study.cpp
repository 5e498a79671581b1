// dura-study: what does each measure bring? Trains a ladder of configurations on the same split, one measure more in each row, and makes
// the before/after table. Every run is dura-train and dura-evaluate in a folder of its own; a study that was stopped goes on where it was.
#include <chrono>
#include <filesystem>
#include <iostream>

#include "apps/study/child_runs.h"
#include "apps/study/study.h"
#include "engine/base/log.h"

namespace {

using namespace dura;
namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

struct StudyOptions {
  DataOptions data;
  std::string weights, rare, out;
  std::vector<std::string> rows;
  int64_t depth = 50, size = 112, phase1_epochs = 2, phase2_epochs = 3, seeds = 3;
  double phase2_lr = 1e-5, budget_hours = 0;
  bool full = false;
};

double hours_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count() / 3600; }

// What a run of this row is told: the study's options, then the row's.
TrainOptions training_of(const StudyOptions& o, const StudyRow& row, int64_t seed, const std::string& folder) {
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

int study(const Program& program, StudyOptions o) {
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

}  // namespace

int main(int argc, char** argv) {
  StudyOptions o;
  Program program({.name = "dura-study",
                   .summary = "Measures what each measure brings: a ladder of runs from a baseline to the optimised configuration, and the "
                              "before/after table.",
                   .examples = {"dura-study --data brain --classes Menin=meningioma Glioma --weights resnet50.safetensors --out study",
                                "dura-study --data brain --weights resnet50.safetensors --device cuda --out study --full --budget 48"}});
  o.data.declare(program);
  program.heading("Study");
  program.text("--weights", o.weights, "ImageNet weights of the backbone, the same for all runs");
  program.integer("--depth", o.depth, "ResNet-18, 34, 50 or 101");
  program.text("--out", o.out, "Folder of the study; what is there already is not run again", {.required = true});
  program.text("--rare-class", o.rare, "The class that the measures are for (default: the first)");
  program.list("--rows", o.rows, "Only these rows, by the names of their folders (default: all)");
  program.integer("--size", o.size, "Height and width of the pictures", {.min = 32, .max = 2048});
  program.integer("--phase1-epochs", o.phase1_epochs, "Epochs with the backbone frozen", {.min = 0, .max = 100000});
  program.integer("--phase2-epochs", o.phase2_epochs, "Epochs with its last part free, at most", {.min = 0, .max = 100000});
  program.number("--phase2-lr", o.phase2_lr, "Learning rate of phase 2", {.min = 0});
  program.integer("--seeds", o.seeds, "Seeds of the first and of the last row; the others have one", {.min = 1, .max = 100});
  program.flag("--full", o.full, "The mission's own size: 224 pixels, 5 + 15 epochs");
  program.number("--budget", o.budget_hours,
                 "Hours that this call may take: a run that would likely exceed them does not begin, save the first; 0: no limit",
                 {.min = 0});
  return program.run(argc, argv, [&] { return study(program, o); });
}
