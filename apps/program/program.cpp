#include "apps/program/program.h"

#include <algorithm>
#include <exception>
#include <fstream>
#include <iostream>

#include "apps/program/process.h"
#include "engine/comm/mpi.h"
#include "engine/devices/cuda_devices.h"
#include "engine/devices/self_test.h"
#include "engine/base/log.h"
#include "engine/base/parallel.h"
#include "engine/core/backend.h"
#include "engine/core/trace.h"

namespace dura {

std::string dura_version() { return DURA_VERSION; }

namespace {

// Puts the program's sink in place and the earlier one back.
class ScopedLog {
 public:
  explicit ScopedLog(LogSink sink) : earlier_(log_sink()) { log_sink() = std::move(sink); }
  ~ScopedLog() { log_sink() = earlier_; }
  ScopedLog(const ScopedLog&) = delete;
  ScopedLog& operator=(const ScopedLog&) = delete;

 private:
  LogSink earlier_;
};

// --trace FILE: a line per op as it runs, so that the trace of a run that dies shows how far it came. Of several processes (mpirun) the
// first writes FILE, the second FILE.rank1, and so on; to standard output the first alone.
class ScopedTrace {
 public:
  explicit ScopedTrace(std::string path) {
    const int64_t rank = started_by_mpi() ? rank_in_job() : 0;
    if (path.empty() || (path == "-" && rank > 0)) return;
    std::ostream* out = &std::cout;
    if (path != "-") {
      if (rank > 0) path += concat(".rank", rank);
      file_.open(path, std::ios::binary | std::ios::trunc);
      if (!file_) fail("the trace file ", path, " cannot be written. Does its folder exist?");
      out = &file_;
    }
    set_trace_sink([out](const OpRecord& record) { *out << trace_line(record) << '\n'; });
  }
  ~ScopedTrace() { set_trace_sink({}); }
  ScopedTrace(const ScopedTrace&) = delete;
  ScopedTrace& operator=(const ScopedTrace&) = delete;

 private:
  std::ofstream file_;
};

Device named_device(const std::string& name) {
  if (name == "cpu") return Device::cpu;
  const Device device = name == "cuda" ? Device::cuda : Device::cuda_sim;
  if (const std::string reason = cuda::why_not(device); !reason.empty()) fail_usage("--device ", name, ": ", reason, ". Use --device cpu.");
  return device;
}

// The card where there is one that computes what the CPU does, else the CPU; said in one line in builds that know cards. A program that is
// silent about it still warns of a card that fails.
Device automatic_device(bool say) {
  if (!cuda::in_this_build(Device::cuda)) return Device::cpu;
  std::string reason = cuda::why_not(Device::cuda);
  if (reason.empty()) {
    reason = cuda::self_test(Device::cuda);
    if (!reason.empty() && !say) log_warning(reason);
  }
  if (say) log_info("computing on ", reason.empty() ? "the CUDA card; --device cpu leaves it alone" : "the CPU: " + reason);
  return reason.empty() ? Device::cuda : Device::cpu;
}

}  // namespace

void Program::add_common_options() {
  heading("Common");
  text("--config", configuration_file_, "TOML file with settings; the command line overrides it");
  not_in_configuration();
  integer("--threads", threads_, "Threads for arithmetic; 0: DURA_THREADS, else every processor", {.min = 0, .max = 1024});
  if (description_.computes) {
    text("--device", device_, "Where to compute; auto: on a CUDA card that passes a small test, else on the CPU",
         {.choices = {"auto", "cpu", "cuda", "cuda-sim"}});
    text("--trace", trace_, "Write a line about every operation that runs to this file; - is standard output");
  }
  if (description_.shares_work)
    integer("--comm-timeout", comm_timeout_,
            "Where several processes share the work (mpirun): seconds after which one that does not answer is given up",
            {.min = 1, .max = 1000000});
  flag("--version", wants_version_, "Show the version");
  not_in_configuration();
  flag("--completion", wants_completion_, "Show the script that lets bash complete these options");
  not_in_configuration();
  flag("--help", wants_help_, "Show this text; -h does, too");
  not_in_configuration();
}

int Program::run(int argc, const char* const* argv, const std::function<int()>& job) {
  end_with_starter();
  add_common_options();
  const std::string prefix = program_name() + ": ";
  std::ostream& info = description_.results_on_standard_output ? std::cerr : std::cout;
  // One write per line, so that lines of the loader's threads do not mix.
  const ScopedLog log([&](LogLevel level, const std::string& line) {
    if (level == LogLevel::warning) {
      std::cerr << prefix + "warning: " + line + "\n";
    } else {
      info << line + "\n" << std::flush;
    }
  });
  const auto report = [&](const std::string& message) {
    std::cout.flush();
    std::cerr << prefix + "error: " + message + "\n" << std::flush;
  };
  try {
    split({argv + 1, argv + argc});
    if (wants_help_ || wants_version_ || wants_completion_) {
      const std::string version = program_name() + " " + dura_version() + "\nApache-2.0, the dura authors\n";
      std::cout << (wants_help_ ? help_text() : wants_version_ ? version : completion()) << std::flush;
      return 0;
    }
    read(configuration_file_);
    // A device that was named and is missing ends a long job before it begins. What only prints a result may have one without it.
    if (device_ != "auto" && !description_.results_on_standard_output) chosen_device_ = named_device(device_);
    if (threads_ > 0) set_num_threads(static_cast<int>(threads_));
    int code = 0;
    {
      const ScopedTrace trace(trace_);
      code = job();
    }
    // A result that did not reach its reader (a full disk behind a redirection) is no success.
    if (!std::cout.flush() && code == 0) {
      report("standard output could not be written. Is the disk full?");
      return 1;
    }
    return code;
  } catch (const UsageError& e) {
    report(e.what());
    return 2;
  } catch (const std::bad_alloc&) {
    report("out of memory. Use a smaller batch or smaller images.");
    return 1;
  } catch (const std::exception& e) {
    report(e.what());
    return 1;
  }
}

std::string Program::help_text() const {
  std::string text = description_.summary + "\n" + help();
  if (!description_.examples.empty()) text += "\nExamples:\n";
  for (const std::string& example : description_.examples) text += "  " + example + "\n";
  return text;
}

Device Program::device() const {
  // Not asked of a card before a job needs it. Programs whose output is their result are silent about it.
  if (!chosen_device_) {
    chosen_device_ = device_ == "auto" ? automatic_device(!description_.results_on_standard_output) : named_device(device_);
    device_ = device_name(*chosen_device_);
  }
  return *chosen_device_;
}

std::vector<std::string> Program::child_arguments() const {
  if (!trace_.empty()) fail_usage("--trace: each of the programs that this starts would write over the file. Trace one of them by itself.");
  return {"--device", device_name(device()), "--threads", std::to_string(threads_)};
}

TensorOptions tensors_of_precision(const std::string& precision, Device device) {
  if (precision == "tf32") device_backend(device).allow_tf32(true);
  return {.compute = precision == "tf32" ? DType::f32 : parse_dtype(precision.c_str()), .device = device};
}

}  // namespace dura
