// Runs one of dura's programs as a user would and returns what it printed and its exit code.
#pragma once
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <vector>

#include "tests/support/folders.h"
#include "engine/base/check.h"

namespace dura::test {

struct ProgramRun {
  int code = -1;
  std::string output;  // standard output and standard error together
};

// A program that is not told where to compute takes the CPU, of which the tests know the numbers, also on a machine with a card.
inline bool hides_cards(const std::vector<std::string>& arguments) {
  return std::find(arguments.begin(), arguments.end(), "--device") == arguments.end();
}

// `program`: a path, or a name that is found by PATH.
inline ProgramRun run_found_program(const std::string& program, const std::vector<std::string>& arguments) {
  std::string command = concat(hides_cards(arguments) ? "CUDA_VISIBLE_DEVICES= '" : "'", program, "'");
  for (const std::string& argument : arguments) {
    DURA_CHECK(argument.find('\'') == std::string::npos, "run_program cannot pass a quote");
    command.append(" '").append(argument).append("'");
  }
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  DURA_CHECK(pipe, "popen failed for ", command);
  ProgramRun run;
  std::array<char, 4096> part;
  for (size_t n; (n = fread(part.data(), 1, part.size(), pipe)) > 0;) run.output.append(part.data(), n);
  const int status = pclose(pipe);
  run.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return run;
}

inline ProgramRun run_program(const std::string& name, const std::vector<std::string>& arguments) {
  return run_found_program(build_folder() + "/apps/" + name, arguments);
}

}  // namespace dura::test
