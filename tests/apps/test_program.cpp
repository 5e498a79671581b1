// Options, configuration files, exit codes and messages: what a user meets first in every program.
#include "tests/support/catch.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>
#include <optional>
#include <sstream>

#include "apps/program/program.h"
#include "engine/devices/cuda_devices.h"
#include "apps/program/process.h"
#include "apps/program/toml.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/log.h"
#include "engine/base/parallel.h"
#include "engine/comm/mpi.h"
#include "tests/support/temporary_folder.h"

using namespace dura;

namespace {

// What a run printed and returned.
struct Outcome {
  int code = -1;
  std::string out, err;
};

class Capture {
 public:
  Capture() : out_(std::cout.rdbuf(out.rdbuf())), err_(std::cerr.rdbuf(err.rdbuf())) {}
  ~Capture() {
    std::cout.rdbuf(out_);
    std::cerr.rdbuf(err_);
  }
  std::ostringstream out, err;

 private:
  std::streambuf *out_, *err_;
};

struct Settings {
  std::string data, mode = "fast";
  std::vector<std::string> weights, files;
  int64_t epochs = 3;
  double rate = 0.1;
  bool cache = false;
};

// A program with every kind of option.
Outcome run(const std::vector<std::string>& arguments, Settings& settings, const std::function<int(const Program&)>& job) {
  Program program({.name = "dura-probe", .summary = "Probes.", .examples = {"dura-probe --data slices"}});
  program.text("--data", settings.data, "Folder", {.required = true});
  program.heading("Training");
  program.text("--mode", settings.mode, "Mode", {.choices = {"fast", "exact"}});
  program.list("--class-weight", settings.weights, "Weights");
  program.integer("--epochs", settings.epochs, "Epochs", {.min = 1, .max = 1000});
  program.number("--rate", settings.rate, "Rate", {.min = 0, .max = 1, .above_min = true});
  program.flag("--cache", settings.cache, "Cache");
  program.list("files", settings.files, "Files");
  std::vector<const char*> argv = {"dura-probe"};
  for (const std::string& a : arguments) argv.push_back(a.c_str());
  Outcome outcome;
  Capture capture;
  outcome.code = program.run(static_cast<int>(argv.size()), argv.data(), [&] { return job(program); });
  outcome.out = capture.out.str();
  outcome.err = capture.err.str();
  return outcome;
}

Outcome run(const std::vector<std::string>& arguments, Settings& settings) {
  return run(arguments, settings, [](const Program&) { return 0; });
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// The message of a wrong command line; the exit code must be 2 and the job must not run.
std::string complaint(const std::vector<std::string>& arguments) {
  Settings settings;
  const Outcome outcome = run(arguments, settings, [](const Program&) -> int { throw Error("the job ran"); });
  CHECK(outcome.code == 2);
  CHECK(outcome.out.empty());
  CHECK(outcome.err.starts_with("dura-probe: error: "));
  return outcome.err;
}

}  // namespace

TEST_CASE("a program reads its command line", "[program]") {
  Settings s;
  const Outcome outcome = run({"--data", "slices", "--mode=exact", "--class-weight", "Menin=4", "Glioma=1", "--epochs", "7", "--rate",
                               "1e-3", "--cache", "--", "a b"},
                              s);
  CHECK(outcome.err.empty());
  CHECK(outcome.code == 0);
  CHECK(s.data == "slices");
  CHECK(s.mode == "exact");
  CHECK(s.weights == std::vector<std::string>{"Menin=4", "Glioma=1"});
  CHECK(s.files == std::vector<std::string>{"a b"});
  CHECK(s.epochs == 7);
  CHECK(s.rate == 1e-3);
  CHECK(s.cache);
}

TEST_CASE("help shows options, defaults and examples, and a missing required option does not hide it", "[program]") {
  Settings s;
  const Outcome help = run({"--help"}, s);
  CHECK(help.code == 0);
  CHECK(help.err.empty());
  for (const char* part :
       {"Probes.", "--epochs", "Training", "fast|exact", "(required)", "Examples:\n  dura-probe --data slices", "--threads"})
    CHECK(contains(help.out, part));
  CHECK(contains(help.out, "--epochs INT=3"));
  const Outcome version = run({"--version"}, s);
  CHECK(version.code == 0);
  CHECK(version.out == "dura-probe " + dura_version() + "\nApache-2.0, the dura authors\n");
}

TEST_CASE("bash completes options, and the values of those that have a choice", "[program]") {
  Settings s;
  const Outcome script = run({"--completion"}, s);
  CHECK(script.code == 0);
  CHECK(script.err.empty());
  const TemporaryFolder folder;
  const std::string file = folder.write("dura-probe", script.out);
  // What bash would offer behind these words, the last of them begun.
  const auto offered = [&](const std::string& words) {
    const std::string command = "bash -c 'source " + file + "; COMP_WORDS=(dura-probe " + words +
                                "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _dura_probe 2>&1; echo -n ${COMPREPLY[*]}'";
    FILE* pipe = popen(command.c_str(), "r");
    std::array<char, 4096> text{};
    const size_t size = fread(text.data(), 1, text.size(), pipe);
    CHECK(pclose(pipe) == 0);
    return std::string(text.data(), size);
  };
  CHECK(offered("--mode \"\"") == "fast exact");
  CHECK(offered("--mode e") == "exact");
  CHECK(offered("--mode = f") == "fast");
  CHECK(offered("--mode =") == "fast exact");
  CHECK(offered("--ca") == "--cache");
  CHECK(offered("--data x --e") == "--epochs");
  CHECK(contains(offered("--"), "--data --mode --class-weight --epochs"));
  CHECK(offered("--data \"\"").empty());  // a file's name: bash's own completion
  CHECK(offered("x").empty());
}

TEST_CASE("nonsense on the command line ends in exit code 2 and one message that names the option", "[program]") {
  CHECK(contains(complaint({}), "--data is required"));
  CHECK(contains(complaint({"--data", "x", "--epochs", "0"}), "--epochs is 0; it must be at least 1"));
  CHECK(contains(complaint({"--data", "x", "--epochs", "1001"}), "at most 1000"));
  CHECK(contains(complaint({"--data", "x", "--epochs", "3.5"}), "whole number"));
  CHECK(contains(complaint({"--data", "x", "--epochs", "99999999999999999999"}), "whole number"));
  CHECK(contains(complaint({"--data", "x", "--epochs", "3", "--epochs", "4"}), "--epochs is given twice"));
  CHECK(contains(complaint({"--data", "--epochs", "3"}), "--data needs a value"));
  CHECK(contains(complaint({"--data", "x", "--class-weight"}), "--class-weight needs a value"));
  CHECK(contains(complaint({"--data", "x", "--rate", "nan"}), "finite"));
  CHECK(contains(complaint({"--data", "x", "--rate", "inf"}), "finite"));
  CHECK(contains(complaint({"--data", "x", "--rate", "0"}), "greater than 0"));
  CHECK(contains(complaint({"--data", "x", "--mode", "slow"}), "fast, exact"));
  CHECK(contains(complaint({"--data", "x", "--speed", "3"}), "there is no option --speed. See dura-probe --help."));
  CHECK(contains(complaint({"--data", "x", "--threads", "-1"}), "--threads"));
  CHECK(contains(complaint({"--data", ""}), "--data is empty"));
  CHECK(contains(complaint({"--data", "x", "--device", "tpu"}), "cuda-sim"));
  if (const std::string reason = cuda::why_not(Device::cuda); !reason.empty())
    CHECK(contains(complaint({"--data", "x", "--device", "cuda"}), "--device cuda: " + reason + ". Use --device cpu."));
}

TEST_CASE("a configuration file sets what the command line leaves out", "[program]") {
  const TemporaryFolder folder;
  const std::string file = folder.write("run.toml",
                                        "# a run\ndata = \"sli#ces\"  # where\nepochs = 9\nclass-weight = [\"Menin=4\",\n  'Glioma=1', # "
                                        "light\n]\ncache = true\nrate = 0.5\n");
  Settings s;
  const Outcome outcome = run({"--config", file, "--epochs", "5"}, s);
  CHECK(outcome.err.empty());
  CHECK(outcome.code == 0);
  CHECK(s.data == "sli#ces");
  CHECK(s.epochs == 5);
  CHECK(s.rate == 0.5);
  CHECK(s.weights == std::vector<std::string>{"Menin=4", "Glioma=1"});
  CHECK(s.cache);
  Settings off;
  CHECK(run({"--config", file, "--cache=false"}, off).code == 0);
  CHECK_FALSE(off.cache);
}

TEST_CASE("the resolved configuration and child programs have the device that auto chose", "[program]") {
  Settings s;
  const Outcome outcome = run({"--data", "x"}, s, [&](const Program& program) {
    CHECK(contains(program.resolved_configuration(), "device = \"auto\"\n"));
    const std::string chosen = device_name(program.device());
    CHECK((chosen == "cpu" || chosen == "cuda"));
    CHECK(contains(program.resolved_configuration(), "device = \"" + chosen + "\"\n"));
    CHECK(program.child_arguments().at(1) == chosen);
    return 0;
  });
  CHECK(outcome.code == 0);
}

TEST_CASE("the resolved configuration leads to the same values", "[program]") {
  const TemporaryFolder folder;
  Settings s;
  std::string toml;
  const std::vector<std::string> arguments = {
      "--data", "a \"quoted\" path\\with # and 'all',\tthat", "--rate", "0.1", "--class-weight", "Ménin=4", "b=2", "--cache", "--mode",
      "exact"};
  run(arguments, s, [&](const Program& program) {
    toml = program.resolved_configuration();
    return 0;
  });
  Settings again;
  std::string toml_again;
  const Outcome outcome = run({"--config", folder.write("resolved.toml", toml)}, again, [&](const Program& program) {
    toml_again = program.resolved_configuration();
    return 0;
  });
  CHECK(outcome.err.empty());
  CHECK(toml == toml_again);
  CHECK(again.data == s.data);
  CHECK(again.weights == s.weights);
  CHECK(again.rate == s.rate);
  CHECK(contains(toml, "epochs = 3\n"));
  CHECK(contains(toml, "files = []\n"));
}

TEST_CASE("a configuration file that is not understood is refused with its line", "[program]") {
  const TemporaryFolder folder;
  const auto refused = [&](const std::string& text) {
    const std::string message = complaint({"--data", "x", "--config", folder.write("bad.toml", text)});
    CHECK(contains(message, "bad.toml, line 2"));
    return message;
  };
  CHECK(contains(refused("\nepoch = 3"), "no setting of dura-probe"));
  CHECK(contains(refused("\nepochs = 0"), "at least 1"));
  CHECK(contains(refused("\nepochs = [1, 2]"), "one value"));
  for (const char* no_toml : {"\nepochs =", "\nmode = exact", "epochs = 3\nepochs = 4", "\ndata = \"x", "\ndata = \"C:\\data\"",
                              "\nfiles = [\"a\" \"b\"]", "\nepochs = 3 4", "\nrate 4"})
    CHECK(contains(refused(no_toml), "a text needs quotes"));
  CHECK(contains(refused("\n[training]"), "training is a table"));
  CHECK(contains(refused("\nfiles = [[\"a\"]]"), "files is a list in a list"));
  CHECK(contains(refused("\nmode = 2026-01-01"), "mode is a date"));
  CHECK(contains(refused("\nrate = inf"), "finite"));
  CHECK(contains(refused("\ncache = 1"), "true or false"));
  Settings s;
  CHECK(run({"--data", "x", "--config", folder / "none.toml"}, s).code == 1);
}

TEST_CASE("TOML lists that never close end in an error, and escapes are read", "[program]") {
  CHECK_THROWS_AS(parse_toml("a = [1, 2", "x"), UsageError);
  CHECK_THROWS_AS(parse_toml("= 3", "x"), UsageError);
  // What toml++ asserts, and what it holds unreachable.
  CHECK_THROWS_AS(parse_toml("[#t", "x"), UsageError);
  for (const char* beyond :
       {"a = 1\nb = \xcf\xbe", "# \xcf\xbe\n\xcf\xbe = 1", "a = \"\\\"\xcf\xbe\"\nb = \xcf\xbe", "a = 1\nb = [-\x03g'o\xc3\xbf\"\"]"})
    CHECK_THROWS_WITH(parse_toml(beyond, "x"), Catch::Contains("x, line 2: "));
  CHECK(parse_toml("\xEF\xBB\xBF"
                   "a = \"\"\"\xcf\xbe\n\"\"\"\"\nb = '\xcf\xbe' # \xcf\xbe",
                   "x")
            .at(1)
            .values.at(0) == "\xcf\xbe");
  CHECK(parse_toml("a = \"\\u00e9\\n\"\r\n", "x").at(0).values.at(0) == "\xc3\xa9\n");
  CHECK(parse_toml("a = []", "x").at(0).values.empty());
  CHECK(parse_toml("", "x").empty());
  CHECK(toml_number(0.1) == "0.1");
  CHECK(toml_number(3.0) == "3.0");
  CHECK(toml_number(int64_t{3}) == "3");
}

TEST_CASE("exit codes and messages follow the exception", "[program]") {
  Settings s;
  const auto outcome_of = [&](const std::function<void()>& act) {
    return run({"--data", "x"}, s, [&](const Program&) {
      act();
      return 0;
    });
  };
  const Outcome usage = outcome_of([] { fail_usage("no classes"); });
  CHECK(usage.code == 2);
  CHECK(usage.err == "dura-probe: error: no classes\n");
  CHECK(outcome_of([] { fail("broken"); }).code == 1);
  CHECK(outcome_of([] { throw std::bad_alloc(); }).code == 1);
  const Outcome logged = outcome_of([] {
    log_info("epoch ", 1);
    log_warning("odd");
  });
  CHECK(logged.code == 0);
  CHECK(logged.out == "epoch 1\n");
  CHECK(logged.err == "dura-probe: warning: odd\n");
  CHECK(run({"--data", "x"}, s, [](const Program&) { return 143; }).code == 143);
}

TEST_CASE("the option --threads sets the number of threads", "[program]") {
  const int before = num_threads();
  Settings s;
  int inside = 0;
  run({"--data", "x", "--threads", "3"}, s, [&](const Program&) {
    inside = num_threads();
    return 0;
  });
  set_num_threads(before);
  CHECK(inside == 3);
}

TEST_CASE("the first signal is a request and leaves the process alive", "[program]") {
  StopRequest stop;
  CHECK_FALSE(stop.received());
  CHECK_THROWS_AS(StopRequest(), Error);
  raise(SIGTERM);
  CHECK(stop.received());
  CHECK(stop.signal() == SIGTERM);
  CHECK(stop.exit_code() == 143);
}

TEST_CASE("the second signal ends the process", "[program]") {
  const pid_t child = fork();
  if (child == 0) {
    const StopRequest stop;
    raise(SIGINT);
    raise(SIGTERM);
    _exit(stop.received() ? 1 : 2);  // not reached
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 143);
}

TEST_CASE("a program that a process of several starts knows nothing of the others, but its own number on the machine, which is its card's",
          "[program]") {
  const TemporaryFolder folder;
  const std::vector<std::pair<const char*, const char*>> variables = {{"OMPI_COMM_WORLD_RANK", "7"},
                                                                      {"OMPI_COMM_WORLD_SIZE", "8"},
                                                                      {"OMPI_COMM_WORLD_LOCAL_RANK", "3"},
                                                                      {"SLURM_LOCALID", "0"},  // of the shell that mpirun was called in
                                                                      {"PMIX_RANK", "7"},
                                                                      {"CUDA_VISIBLE_DEVICES", "5,6,GPU-aa,7"}};
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  const std::optional<std::string> before = visible ? std::optional<std::string>(visible) : std::nullopt;
  for (const auto& [name, value] : variables) setenv(name, value, 1);
  CHECK(rank_on_machine() == 3);
  {
    const StopRequest stop;
    CHECK(run_child_program("/usr/bin/env", {}, folder / "environment", stop) == 0);
  }
  for (const auto& [name, value] : variables) unsetenv(name);
  std::map<std::string, std::string> told;
  std::istringstream lines(read_text_file(folder / "environment", 1 << 20));
  for (std::string line; std::getline(lines, line);) told[line.substr(0, line.find('='))] = line.substr(line.find('=') + 1);
  for (const auto& [name, value] : told) {
    CAPTURE(name, value);
    CHECK_FALSE((name.starts_with("OMPI_") || name.starts_with("PMIX_")));
  }
  CHECK(told["DURA_RANK_ON_MACHINE"] == "3");
  CHECK(told["CUDA_VISIBLE_DEVICES"] == "5,6,GPU-aa,7");
  // What it then takes for its number.
  setenv("SLURM_LOCALID", "0", 1);
  setenv("DURA_RANK_ON_MACHINE", told["DURA_RANK_ON_MACHINE"].c_str(), 1);
  CHECK(rank_on_machine() == 3);
  unsetenv("DURA_RANK_ON_MACHINE");
  CHECK(rank_on_machine() == 0);
  unsetenv("SLURM_LOCALID");
  if (before) setenv("CUDA_VISIBLE_DEVICES", before->c_str(), 1);
}
