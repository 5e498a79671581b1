// What every dura program's main is made of: options, configuration file, help, errors as exit codes, log, threads, device, trace.
//
//   int main(int argc, char** argv) {
//     int64_t epochs = 3;
//     Program program({.name = "dura-train", .summary = "Trains a classifier.", .examples = {"dura-train --epochs 5"}});
//     program.integer("--epochs", epochs, "Passes over the training images", {.min = 1});
//     return program.run(argc, argv, [&] { ...; return 0; });
//   }
//
// Exit codes: 0 done; 2 the command line, the configuration or the data asked for something that cannot be (UsageError); 1 anything else;
// 128 + signal where the job was stopped. Messages: "dura-train: error: ..." on standard error.
// Invariant: what resolved_configuration() returns, given back with --config, leads to the same values.
#pragma once
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "engine/core/device.h"

namespace dura {

std::string dura_version();  // "0.1.0"

struct ProgramDescription {
  std::string name;                   // as installed: "dura-train"
  std::string summary;                // one sentence
  std::vector<std::string> examples;  // whole command lines, for --help
  // Where standard output carries a result that another program reads, the log's lines go to standard error.
  bool results_on_standard_output = false;
  bool computes = true;  // with tensors: --device and --trace mean something
};

struct TextRules {
  bool required = false;
  std::vector<std::string> choices = {};  // empty: any text
};
struct ListRules {
  bool required = false;
};
struct IntegerRules {
  int64_t min = std::numeric_limits<int64_t>::min(), max = std::numeric_limits<int64_t>::max();
};
// Bounds are allowed values, unless `above_min`. Infinity and NaN are never allowed.
struct NumberRules {
  double min = std::numeric_limits<double>::lowest(), max = std::numeric_limits<double>::max();
  bool above_min = false;  // min itself is not allowed
};

class Program {
 public:
  explicit Program(const ProgramDescription& description);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  // Each binds one option to a variable that holds its default and must outlive run(). A name such as "--epochs" (or "-o,--out") is also a
  // key of the configuration file ("epochs"); a name without dashes is positional. A list takes all values that follow it (up to
  // the next option or --), and may be given several times.
  void text(const std::string& name, std::string& value, const std::string& help, const TextRules& rules = {});
  void list(const std::string& name, std::vector<std::string>& value, const std::string& help, const ListRules& rules = {});
  void integer(const std::string& name, int64_t& value, const std::string& help, const IntegerRules& rules = {});
  void number(const std::string& name, double& value, const std::string& help, const NumberRules& rules = {});
  // Off unless given; "--flag=false" turns one off that the configuration file turned on.
  void flag(const std::string& name, bool& value, const std::string& help);
  // The options declared from here on stand under this heading in --help.
  void heading(const std::string& title);

  // Reads the command line, then calls `job` with log, threads and trace set up, and returns the exit code of the process: the job's own,
  // or that of the exception it threw. Adds --config, --threads, --help and --version, and where it computes --device and --trace.
  int run(int argc, const char* const* argv, const std::function<int()>& job);

  // ---- for the job ----
  const std::string& name() const;
  Device device() const;  // --device; auto is decided, and said in the log, when this is first called
  // --device and --threads as this program was given them, for other dura programs that it starts. Refuses --trace, over which each of them
  // would write.
  std::vector<std::string> child_arguments() const;
  // Every option's value as TOML (of --device auto what was chosen, once device() was called), defaults included, one `key = value` line
  // each.
  std::string resolved_configuration() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace dura
