#include "apps/program/process.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <signal.h>
#include <spawn.h>
#include <string>
#include <string_view>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/check.h"
#include "engine/base/text.h"
#include "engine/comm/mpi.h"

namespace dura {

int64_t peak_resident_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    int64_t kib = 0;
    if (word == "VmHWM:" && status >> kib) return kib * 1024;
  }
  fail("/proc/self/status has no VmHWM line. Is /proc mounted?");
}

namespace {

volatile sig_atomic_t received_signal = 0;
int signal_of_another = 0;
pid_t starter = 0;  // where run_child_program started this process
bool installed = false;
struct sigaction earlier_interrupt, earlier_terminate;

void note_signal(int number, siginfo_t* about, void*) {
  // The starter passes a request on, and when it ends before this process has, that is a signal from it as well.
  if (received_signal != 0 && starter != 0 && about->si_pid == starter) return;
  if (received_signal != 0) _exit(128 + number);  // the user asked twice: no unwinding, a checkpoint on disk is never half written
  received_signal = number;
}

}  // namespace

StopRequest::StopRequest() {
  DURA_CHECK(!installed, "two StopRequest objects are alive; a program has one");
  installed = true;
  received_signal = signal_of_another = 0;
  struct sigaction action = {};
  action.sa_sigaction = note_signal;
  action.sa_flags = SA_SIGINFO | SA_RESTART;  // reads and writes under way go on: the job stops at a step's end, not in a system call
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, &earlier_interrupt);
  sigaction(SIGTERM, &action, &earlier_terminate);
}

StopRequest::~StopRequest() {
  sigaction(SIGINT, &earlier_interrupt, nullptr);
  sigaction(SIGTERM, &earlier_terminate, nullptr);
  installed = false;
}

int StopRequest::signal() const { return received_signal != 0 ? received_signal : signal_of_another; }

void StopRequest::came_to_another(int signal) const { signal_of_another = signal; }

std::filesystem::path program_folder() { return std::filesystem::read_symlink("/proc/self/exe").parent_path(); }

namespace {

constexpr const char* starter_variable = "DURA_STARTED_BY";

std::vector<char*> environment_of_child() {
  std::vector<char*> kept;
  for (char** variable = environ; *variable; ++variable) {
    const std::string_view text = *variable;
    const auto begins = [&](const char* prefix) { return text.starts_with(prefix); };
    // Open MPI; PMIx and PRRTE; PMI of MPICH, Intel MPI and Slurm.
    if (!begins("OMPI_") && !begins("PMIX_") && !begins("PRTE_") && !begins("PMI_") && !begins("HYDRA_") &&
        !begins("SLURM_STEP_NUM_TASKS=") && !begins(starter_variable) && !begins(rank_on_machine_variable))
      kept.push_back(*variable);
  }
  static std::string own, rank;
  own = concat(starter_variable, "=", getpid());
  rank = concat(rank_on_machine_variable, "=", rank_on_machine());
  kept.insert(kept.end(), {own.data(), rank.data(), nullptr});
  return kept;
}

}  // namespace

void end_with_starter() {
  const char* text = std::getenv(starter_variable);
  const std::optional<pid_t> parent = text ? parse_number<pid_t>(text) : std::nullopt;
  if (!parent) return;
  starter = *parent;
  unsetenv(starter_variable);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != starter) raise(SIGTERM);  // it had gone before
}

int run_child_program(const std::filesystem::path& program, const std::vector<std::string>& arguments, const std::filesystem::path& log,
                      const StopRequest& stop, const std::function<void()>& meanwhile) {
  std::vector<std::string> texts = {program.string()};
  texts.insert(texts.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& text : texts) argv.push_back(text.data());
  argv.push_back(nullptr);

  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
  // A process group of its own: Ctrl-C on the terminal would else reach it beside the signal passed on below, and the second one kills.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  posix_spawnattr_setpgroup(&attributes, 0);
  pid_t process = -1;
  const int error = posix_spawn(&process, program.c_str(), &files, &attributes, argv.data(), environment_of_child().data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  DURA_CHECK(error == 0, "cannot run ", program.string(), " with its output in ", log.string(), ": ", std::strerror(error),
             ". It is installed beside this program; install dura anew.");

  bool passed_on = false;
  for (int status = 0;;) {
    const pid_t ended = waitpid(process, &status, WNOHANG);
    if (ended == process) return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    DURA_CHECK(ended == 0 || errno == EINTR, "lost sight of ", program.string(), ": ", std::strerror(errno));
    if (stop.received() && !passed_on) passed_on = kill(process, SIGTERM) == 0;
    try {
      if (meanwhile) meanwhile();
    } catch (...) {
      kill(process, SIGTERM);
      throw;
    }
    const timespec pause = {.tv_sec = 0, .tv_nsec = 20'000'000};
    nanosleep(&pause, nullptr);
  }
}

}  // namespace dura
