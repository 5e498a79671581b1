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
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "apps/program/option_set.h"
#include "layers/module.h"

namespace dura {

std::string dura_version();  // "0.1.0"

struct ProgramDescription {
  std::string name;                   // as installed: "dura-train"
  std::string summary;                // one sentence
  std::vector<std::string> examples;  // whole command lines, for --help
  // Where standard output carries a result that another program reads, the log's lines go to standard error.
  bool results_on_standard_output = false;
  bool computes = true;      // with tensors: --device and --trace mean something
  bool shares_work = false;  // with others of its kind that mpirun starts (processes.h): --comm-timeout means something
};

class Program : public OptionSet {
 public:
  explicit Program(const ProgramDescription& description) : OptionSet(description.name), description_(description) {}

  // Reads the command line, then calls `job` with log, threads and trace set up, and returns the exit code of the process: the job's own,
  // or that of the exception it threw. Adds --config, --threads, --help, --version and --completion, where it computes --device and
  // --trace, and where it shares work --comm-timeout.
  int run(int argc, const char* const* argv, const std::function<int()>& job);

  // ---- for the job ----
  // --device; auto is decided, and said in the log, when this is first called. resolved_configuration() has it from then on.
  Device device() const;
  const std::string& name() const { return description_.name; }
  bool computes() const { return description_.computes; }
  double comm_timeout() const { return static_cast<double>(comm_timeout_); }  // seconds
  // --device and --threads as this program was given them, for other dura programs that it starts. Refuses --trace, over which each of them
  // would write.
  std::vector<std::string> child_arguments() const;

 private:
  void add_common_options();
  std::string help_text() const;

  const ProgramDescription description_;
  std::string configuration_file_, trace_;
  int64_t threads_ = 0, comm_timeout_ = 600;
  bool wants_help_ = false, wants_version_ = false, wants_completion_ = false;
  // device() puts there what --device auto comes to: it is what is resolved and handed on.
  mutable std::string device_ = "auto";
  mutable std::optional<Device> chosen_device_;
};

// What --precision stands for: f32, f16, bf16; tf32 is f32, but a card may round the factors of products (the CPU does not).
TensorOptions tensors_of_precision(const std::string& precision, Device device);

}  // namespace dura
