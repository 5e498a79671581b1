// This process and others: its peak memory, the signals that ask it to stop, and programs that it starts.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace dura {

// How much memory this process has needed.

// The most bytes that were resident at once since the process began (VmHWM of /proc/self/status). Not getrusage's ru_maxrss: that one
// survives exec, so a program started by a larger one would report its parent's memory.
int64_t peak_resident_bytes();

// Ctrl-C (SIGINT) and SIGTERM as a flag: a long job looks at it between two steps, saves what it has and ends. The second signal ends the
// process at once, unless both came from the program that started it (run_child_program).
// While alive, the first SIGINT or SIGTERM is only noted. One at a time; the earlier handlers come back when it ends.
class StopRequest {
 public:
  StopRequest();
  ~StopRequest();
  StopRequest(const StopRequest&) = delete;
  StopRequest& operator=(const StopRequest&) = delete;

  bool received() const { return signal() != 0; }
  int signal() const;  // its number, 0 while none came
  // Another process of the job was asked to stop, so that this one stops, too.
  void came_to_another(int signal) const;
  // What a program that stopped for it returns: 128 + the signal's number, as shells do.
  int exit_code() const { return 128 + signal(); }
};

// Another of dura's programs, run to its end as a user would run it. A process of its own, so that its peak memory is its own and a crash
// costs one run and not the study.
// The folder of the program that is running: its siblings lie there.
std::filesystem::path program_folder();

// Called first thing by a program that run_child_program may have started: where its starter dies, even by SIGKILL, it is asked to stop,
// so that it does not hold its run directory against whoever goes on.
void end_with_starter();

// Runs `program` with `arguments`; both of its outputs are appended to the file `log`. Returns its exit code, 128 + signal where one ended
// it. A stop request that arrives meanwhile is passed on (once), and the program is waited for: it saves what it has. Error where it cannot
// be started. `meanwhile` is called about fifty times a second; where it throws, the program is asked to stop, too, and not
// waited for: what is thrown ends this process, and has to be said before other processes wonder why it is silent.
// Where MPI started this process, the child is told nothing of that: it would take itself for one of the processes of this job. It computes
// on the card of this process, though, as it knows its number on the machine.
int run_child_program(const std::filesystem::path& program, const std::vector<std::string>& arguments, const std::filesystem::path& log,
                      const StopRequest& stop, const std::function<void()>& meanwhile = {});

}  // namespace dura
