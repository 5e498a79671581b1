// The ladder of a study (study.h), run: every row trained and scored in a folder of its own, and the before/after table made of them.
#pragma once
#include <string>
#include <vector>

#include "apps/program/data_options.h"
#include "apps/program/program.h"

namespace dura {

struct LadderOptions {
  DataOptions data = {};
  std::string weights = {}, rare = {}, out = {};
  std::vector<std::string> rows = {};
  int64_t depth = 50, size = 112, phase1_epochs = 2, phase2_epochs = 3, seeds = 3;
  double phase2_lr = 1e-5, budget_hours = 0;
  bool full = false;
};

// Runs what is not done yet, a run at a time in each process; what is in the folder `out` already is not run again. Returns the program's
// exit code.
int run_ladder(const Program& program, LadderOptions options, Communicator& ranks);

}  // namespace dura
