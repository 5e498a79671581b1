// Another of dura's programs, run to its end as a user would run it. A process of its own, so that its peak memory is its own and a crash
// costs one run and not the study.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "apps/program/stop_request.h"

namespace dura {

// The folder of the program that is running: its siblings lie there.
std::filesystem::path program_folder();

// Runs `program` with `arguments`; both of its outputs are appended to the file `log`. Returns its exit code, 128 + signal where one ended
// it. A stop request that arrives meanwhile is passed on (once), and the program is waited for: it saves what it has. Error where it cannot
// be started.
int run_child_program(const std::filesystem::path& program, const std::vector<std::string>& arguments, const std::filesystem::path& log,
                      const StopRequest& stop);

}  // namespace dura
