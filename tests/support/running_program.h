// One of dura's programs while it runs, to be watched and interrupted; run_program.h is for those that are left to end.
#pragma once
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/run_program.h"
#include "tests/support/folders.h"

namespace dura::test {

// What a file that is being written holds so far; nothing where it does not exist yet.
inline std::string text_so_far(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

enum class Find : uint8_t { in_build, by_path };

// The numbers of the processes that another one has started and that have not ended, in order.
inline std::vector<pid_t> children_of(pid_t process) {
  std::ifstream file(concat("/proc/", process, "/task/", process, "/children"));
  return {std::istream_iterator<pid_t>(file), {}};
}

class RunningProgram {
 public:
  // One of dura's programs, or any that is found by PATH. Both outputs go to the file `log`.
  RunningProgram(const std::string& name, const std::vector<std::string>& arguments, const std::string& log, Find find = Find::in_build) {
    const std::string program = find == Find::in_build ? build_folder() + "/apps/" + name : name;
    std::vector<char*> argv = {const_cast<char*>(program.c_str())};
    for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    process_ = fork();
    DURA_CHECK(process_ >= 0, "fork failed for ", program);
    if (process_ > 0) return;
    if (hides_cards(arguments)) setenv("CUDA_VISIBLE_DEVICES", "", 1);
    const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (out < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0) _exit(126);
    execvp(program.c_str(), argv.data());
    _exit(127);
  }
  ~RunningProgram() {
    if (!ended_) interrupt(SIGKILL);
    wait();
  }
  RunningProgram(const RunningProgram&) = delete;
  RunningProgram& operator=(const RunningProgram&) = delete;

  pid_t process() const { return process_; }
  // Returns when `reached` holds, looking every millisecond, or when the program has ended.
  void run_until(const std::function<bool()>& reached) {
    while (!reached() && !look(WNOHANG)) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  void interrupt(int signal) {
    if (!ended_) kill(process_, signal);
  }
  // The exit code; 128 + the signal's number where one ended it.
  int wait() {
    look(0);
    return WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
  }

 private:
  bool look(int flags) {
    if (!ended_) ended_ = waitpid(process_, &status_, flags) == process_;
    return ended_;
  }
  pid_t process_ = -1;
  int status_ = 0;
  bool ended_ = false;
};

}  // namespace dura::test
