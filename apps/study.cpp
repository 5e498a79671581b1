// dura-study: what does each measure bring? Trains a ladder of configurations on the same split, one measure more in each row, and makes
// the before/after table. Every run is dura-train and dura-evaluate in a folder of its own; a study that was stopped goes on where it was.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <iostream>

#include "apps/program/program.h"
#include "apps/study/study_report.h"
#include "apps/program/child_program.h"
#include "apps/program/data_options.h"
#include "apps/study/study.h"
#include "engine/base/file.h"
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

struct PlannedRun {
  size_t row;
  int64_t seed;
};

double hours_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count() / 3600; }

void append(std::vector<std::string>& arguments, const std::string& option, const std::vector<std::string>& values) {
  arguments.push_back("--" + option);
  arguments.insert(arguments.end(), values.begin(), values.end());
}

std::vector<std::string> data_arguments(const StudyOptions& o) {
  std::vector<std::string> arguments = {"--data", o.data.folder, "--allow-bad", concat(o.data.allowed_bad_share)};
  if (!o.data.manifest.empty()) append(arguments, "manifest", {o.data.manifest});
  if (!o.data.columns.empty()) append(arguments, "column", o.data.columns);
  if (!o.data.classes.empty()) append(arguments, "classes", o.data.classes);
  if (o.data.allow_leak) arguments.push_back("--allow-leak");
  return arguments;
}

std::string last_line(const fs::path& log) {
  std::string text = read_text_file(log, uint64_t{64} << 20);
  text.erase(text.find_last_not_of('\n') + 1);
  return text.substr(text.rfind('\n') + 1);
}

class Runner {
 public:
  // `common`: arguments of every program that it starts.
  Runner(const StudyOptions& options, std::vector<std::string> common, const StopRequest& stop)
      : options_(options), common_(std::move(common)), stop_(stop) {}

  // Whether a run is there to its last result.
  static bool finished(const fs::path& folder) { return evaluated(folder, "test"); }

  // Trains and scores one run, as far as that was not done before. False where a stop request interrupted it.
  bool run(const StudyRow& row, int64_t seed, const fs::path& folder) const {
    fs::create_directories(folder);
    std::vector<std::string> train = data_arguments(options_);
    append(train, "out", {folder.string()});
    append(train, "depth", {std::to_string(options_.depth)});
    append(train, "size", {std::to_string(options_.size)});
    append(train, "phase1-epochs", {std::to_string(options_.phase1_epochs)});
    append(train, "phase2-epochs", {std::to_string(options_.phase2_epochs)});
    append(train, "phase2-lr", {concat(options_.phase2_lr)});
    append(train, "seed", {std::to_string(seed)});
    if (!options_.weights.empty()) append(train, "weights", {options_.weights});
    for (const auto& [option, values] : row.settings) append(train, option, values);
    if (fs::exists(folder / "run.json")) train.push_back("--resume");
    if (!fs::exists(folder / "model.safetensors") && !program("dura-train", train, folder)) return false;
    for (const char* split : {"train", "val", "test"}) {
      std::vector<std::string> evaluate = data_arguments(options_);
      append(evaluate, "model", {(folder / "model.safetensors").string()});
      append(evaluate, "split", {split});
      append(evaluate, "out", {folder.string()});
      if (!evaluated(folder, split) && !program("dura-evaluate", evaluate, folder)) return false;
    }
    return true;
  }

 private:
  // dura-evaluate writes this file after its others.
  static bool evaluated(const fs::path& folder, const char* split) { return fs::exists(folder / concat("evaluation_", split, ".json")); }

  bool program(const char* name, const std::vector<std::string>& arguments, const fs::path& folder) const {
    const fs::path log = folder / "log.txt";
    std::vector<std::string> all = common_;
    all.insert(all.end(), arguments.begin(), arguments.end());
    const int code = run_child_program(program_folder() / name, all, log, stop_);
    if (stop_.received()) return false;
    DURA_CHECK(code == 0, name, " ended with exit code ", code, ": ", last_line(log), " (all of it: ", log.string(),
               "). Put it right and run the study again: finished runs are kept.");
    return true;
  }

  const StudyOptions& options_;
  const std::vector<std::string> common_;
  const StopRequest& stop_;
};

std::vector<StudyRow> chosen_rows(const StudyOptions& o, const std::vector<std::string>& classes) {
  const std::vector<StudyRow> all = study_ladder(classes, o.rare.empty() ? classes.front() : o.rare);
  if (o.rows.empty()) return all;
  std::vector<StudyRow> chosen;
  for (const std::string& slug : o.rows) {
    const auto found = std::find_if(all.begin(), all.end(), [&](const StudyRow& row) { return row.slug == slug; });
    if (found == all.end()) {
      std::string known;
      for (const StudyRow& row : all) known += " " + row.slug;
      fail_usage("--rows ", slug, ": there is no such row. Use some of", known);
    }
    chosen.push_back(*found);
  }
  return chosen;
}

// The first and the last row over all seeds, the others over one; one seed of every row first, so that a study cut short has a whole table.
std::vector<PlannedRun> plan(size_t rows, int64_t seeds) {
  std::vector<PlannedRun> runs;
  for (int64_t seed = 0; seed < seeds; ++seed)
    for (size_t row = 0; row < rows; ++row)
      if (seed == 0 || row == 0 || row + 1 == rows) runs.push_back({row, seed});
  return runs;
}

int study(const Program& program, StudyOptions o) {
  if (o.full) o.size = 224, o.phase1_epochs = 5, o.phase2_epochs = 15;
  const StopRequest stop;
  const DataSplits data = open_splits(o.data);
  for (const Split split : {Split::train, Split::val, Split::test}) data.require(split, o.data);  // before the first run finds it out
  const std::vector<StudyRow> rows = chosen_rows(o, data.classes.names());
  const std::string rare = o.rare.empty() ? data.classes[0] : o.rare;
  const std::vector<PlannedRun> runs = plan(rows.size(), o.seeds);
  const Runner runner(o, program.child_arguments(), stop);
  const fs::path out = o.out;
  fs::create_directories(out);

  const Clock::time_point begin = Clock::now();
  StudyTable table{.rare = rare, .size = o.size, .phase1_epochs = o.phase1_epochs, .phase2_epochs = o.phase2_epochs, .rows = {}};
  for (const StudyRow& row : rows) table.rows.push_back({.row = row, .runs = {}});
  size_t begun = 0, left = 0;
  for (size_t i = 0; i < runs.size(); ++i) {
    const StudyRow& row = rows[runs[i].row];
    const fs::path folder = out / concat(row.slug, "-seed", runs[i].seed);
    if (!Runner::finished(folder)) {
      // One more run would take what those of this call took on average. The first has no such estimate and always begins.
      const double expected = begun == 0 ? 0 : hours_since(begin) * static_cast<double>(begun + 1) / static_cast<double>(begun);
      if (o.budget_hours > 0 && expected > o.budget_hours) {
        ++left;
        continue;
      }
      ++begun;
    }
    log_info("run ", i + 1, " of ", runs.size(), ": ", row.name, ", seed ", runs[i].seed);
    if (!runner.run(row, runs[i].seed, folder)) {
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
