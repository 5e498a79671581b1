// A run as a user would make it: dura-train, then dura-evaluate, each a process of its own that reads its options from a file. So its peak
// memory is its own, a crash costs one run, and what a run was told lies in its folder: dura-train.toml, dura-evaluate.toml, log.txt.
#pragma once
#include <string>
#include <vector>

#include "apps/program/process.h"
#include "apps/program/program.h"
#include "apps/training/train_options.h"

namespace dura {

struct ChildRun {
  TrainOptions train;                // its `out` is the run's folder
  std::vector<std::string> splits;   // that are scored
  std::string precision;             // of the scoring
  std::string title;                 // for the log: "fold 1/3"
  std::string threshold = "argmax";  // of the scoring
  int64_t beside = 1;                // so many runs are made on this machine at the same time: each has a part of its memory
};

// Makes the run, as far as its folder does not hold it already: a training that was interrupted is resumed. The programs compute where
// `program` does. False where the stop request interrupted it. Error where a program fails, with the last line of its log. `meanwhile`: as
// for run_child_program.
bool make_run(const Program& program, ChildRun run, const StopRequest& stop, const std::function<void()>& meanwhile = {});

// Whether the folder holds the scores of this split, which are what a run ends with.
bool run_has_scores(const std::filesystem::path& folder, const std::string& split);

}  // namespace dura
