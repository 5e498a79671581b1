#include "apps/program/program.h"

#include <CLI/CLI.hpp>

#include <charconv>
#include <cmath>
#include <exception>
#include <fstream>
#include <iostream>
#include <optional>
#include <sstream>
#include <utility>

#include "apps/program/toml.h"
#include "engine/devices/cuda_devices.h"
#include "engine/devices/self_test.h"
#include "engine/base/file.h"
#include "engine/base/log.h"
#include "engine/base/parallel.h"
#include "engine/core/trace.h"

namespace dura {

std::string dura_version() { return DURA_VERSION; }

namespace {

constexpr uint64_t max_configuration_bytes = uint64_t{1} << 20;

// One option: how it is read (`where` names it in errors, as "--epochs" or "run.toml, line 3: epochs") and how it is written.
struct Binding {
  std::string key;
  bool required = false, is_list = false, is_flag = false;
  CLI::Option* option = nullptr;
  std::function<void(const std::vector<std::string>& values, const std::string& where)> set;
  std::function<std::string()> toml;
};

// "-o,--out" -> "out"; "files" -> "files".
std::string key_of(const std::string& name) {
  const size_t dashes = name.find("--");
  return dashes == std::string::npos ? name : name.substr(dashes + 2);
}

std::string joined(const std::vector<std::string>& parts, const char* separator) {
  std::string out;
  for (const std::string& part : parts) out += (out.empty() ? "" : separator) + part;
  return out;
}

int64_t parse_integer(const std::string& text, const std::string& where, const IntegerRules& rules) {
  int64_t value = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (status != std::errc() || end != text.data() + text.size()) fail_usage(where, " is ", text, "; it must be a whole number.");
  if (value < rules.min) fail_usage(where, " is ", text, "; it must be at least ", rules.min, ".");
  if (value > rules.max) fail_usage(where, " is ", text, "; it must be at most ", rules.max, ".");
  return value;
}

double parse_number(const std::string& text, const std::string& where, const NumberRules& rules) {
  double value = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (status != std::errc() || end != text.data() + text.size() || !std::isfinite(value))
    fail_usage(where, " is ", text, "; it must be a finite number.");
  if (value < rules.min || (rules.above_min && value == rules.min))
    fail_usage(where, " is ", text, "; it must be ", rules.above_min ? "greater than " : "at least ", rules.min, ".");
  if (value > rules.max) fail_usage(where, " is ", text, "; it must be at most ", rules.max, ".");
  return value;
}

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

// --trace FILE: a line per op as it runs, so that the trace of a run that dies shows how far it came.
class ScopedTrace {
 public:
  explicit ScopedTrace(const std::string& path) {
    if (path.empty()) return;
    std::ostream* out = &std::cout;
    if (path != "-") {
      file_.open(path, std::ios::binary | std::ios::trunc);
      if (!file_) fail("the trace file ", path, " cannot be written. Does its folder exist?");
      out = &file_;
    }
    set_trace_sink([out](const std::string& line) { *out << line << '\n'; });
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

struct Program::State {
  explicit State(const ProgramDescription& d) : description(d), app(d.summary, d.name) {}

  ProgramDescription description;
  CLI::App app;
  std::vector<Binding> bindings;
  std::string title = "Options";
  std::string configuration_file, device = "auto", trace;
  std::optional<Device> chosen_device;
  int64_t threads = 0;

  // Declares the option to CLI11, which only splits the command line: values are read by Binding::set, the same way as those of the
  // configuration file.
  Binding& declare(const std::string& name, const std::string& help, bool required, const std::string& type, const std::string& value) {
    Binding binding;
    binding.key = key_of(name);
    binding.required = required;
    const CLI::callback_t keep = [](const CLI::results_t&) { return true; };
    binding.option = app.add_option(name, keep, help + (required ? " (required)" : ""));
    binding.option->type_name(type)->group(title);
    if (!value.empty()) binding.option->default_str(value);
    bindings.push_back(std::move(binding));
    return bindings.back();
  }

  void add_common_options() {
    title = "Common";
    app.add_option("--config", configuration_file, "TOML file with settings; the command line overrides it")
        ->type_name("FILE")
        ->group(title);
  }

  void read_configuration_file() {
    if (configuration_file.empty()) return;
    for (const TomlEntry& entry : parse_toml(read_text_file(configuration_file, max_configuration_bytes), configuration_file)) {
      const std::string where = concat(configuration_file, ", line ", entry.line, ": ", entry.key);
      const auto binding = std::find_if(bindings.begin(), bindings.end(), [&](const Binding& b) { return b.key == entry.key; });
      if (binding == bindings.end()) fail_usage(where, " is no setting of ", description.name, ". --help lists them.");
      if (entry.values.size() != 1 && !binding->is_list) fail_usage(where, " must have one value, ", entry.values.size(), " are given.");
      binding->set(entry.values, where);
      binding->required = false;
    }
  }

  void read_command_line() {
    for (Binding& binding : bindings) {
      if (binding.option->count() == 0) continue;
      // As they were given: what CLI11 makes of a flag ("true" or "1") depends on its version. Of a flag given twice the last counts.
      const std::vector<std::string>& values = binding.option->results();
      binding.set(binding.is_flag ? std::vector<std::string>{values.back()} : values, binding.option->get_name());
      binding.required = false;
    }
    std::vector<std::string> missing;
    for (const Binding& binding : bindings)
      if (binding.required) missing.push_back(binding.option->get_name());
    if (!missing.empty()) fail_usage(joined(missing, ", "), missing.size() == 1 ? " is" : " are", " required.");
  }

  std::string footer() const {
    std::string text = description.examples.empty() ? "" : "\nExamples:\n";
    for (const std::string& example : description.examples) text += "  " + example + "\n";
    return text;
  }
};

Program::Program(const ProgramDescription& description) : state_(std::make_unique<State>(description)) {}
Program::~Program() = default;

void Program::text(const std::string& name, std::string& value, const std::string& help, const TextRules& rules) {
  const std::string type = rules.choices.empty() ? "TEXT" : joined(rules.choices, "|");
  Binding& b = state_->declare(name, help, rules.required, type, value);
  b.set = [&value, rules](const std::vector<std::string>& values, const std::string& where) {
    const std::string& given = values.front();
    if (!rules.choices.empty() && std::find(rules.choices.begin(), rules.choices.end(), given) == rules.choices.end())
      fail_usage(where, " is ", given, "; it must be one of ", joined(rules.choices, ", "), ".");
    if (rules.required && given.empty()) fail_usage(where, " is empty.");
    value = given;
  };
  b.toml = [&value] { return toml_string(value); };
}

void Program::list(const std::string& name, std::vector<std::string>& value, const std::string& help, const ListRules& rules) {
  Binding& b = state_->declare(name, help, rules.required, "TEXT ...", joined(value, " "));
  b.is_list = true;
  b.option->expected(1, CLI::detail::expected_max_vector_size)->allow_extra_args();
  b.set = [&value, rules](const std::vector<std::string>& values, const std::string& where) {
    if (rules.required && values.empty()) fail_usage(where, " is empty.");
    value = values;
  };
  b.toml = [&value] { return toml_list(value); };
}

void Program::integer(const std::string& name, int64_t& value, const std::string& help, const IntegerRules& rules) {
  Binding& b = state_->declare(name, help, false, "INT", std::to_string(value));
  b.set = [&value, rules](const std::vector<std::string>& values, const std::string& where) {
    value = parse_integer(values.front(), where, rules);
  };
  b.toml = [&value] { return std::to_string(value); };
}

void Program::number(const std::string& name, double& value, const std::string& help, const NumberRules& rules) {
  Binding& b = state_->declare(name, help, false, "NUMBER", concat(value));
  b.set = [&value, rules](const std::vector<std::string>& values, const std::string& where) {
    value = parse_number(values.front(), where, rules);
  };
  b.toml = [&value] { return toml_number(value); };
}

void Program::flag(const std::string& name, bool& value, const std::string& help) {
  Binding b;
  b.key = key_of(name);
  b.is_flag = true;
  b.option = state_->app.add_flag_function(
      name, [](int64_t) {}, help);
  b.option->group(state_->title);
  b.set = [&value](const std::vector<std::string>& values, const std::string& where) {
    if (values.front() != "true" && values.front() != "false") fail_usage(where, " is ", values.front(), "; it must be true or false.");
    value = values.front() == "true";
  };
  b.toml = [&value] { return value ? "true" : "false"; };
  state_->bindings.push_back(std::move(b));
}

void Program::heading(const std::string& title) { state_->title = title; }

int Program::run(int argc, const char* const* argv, const std::function<int()>& job) {
  State& s = *state_;
  s.add_common_options();
  integer("--threads", s.threads, "Threads for arithmetic; 0: DURA_THREADS, else every processor", {.min = 0, .max = 1024});
  if (s.description.computes) {
    text("--device", s.device, "Where to compute; auto: on a CUDA card that passes a small test, else on the CPU",
         {.choices = {"auto", "cpu", "cuda", "cuda-sim"}});
    text("--trace", s.trace, "Write a line about every operation that runs to this file; - is standard output");
  }
  s.app.set_version_flag("--version", s.description.name + " " + dura_version() + "\nApache-2.0, the dura authors");
  s.app.set_help_flag("-h,--help", "Show this text");
  s.app.footer(s.footer());

  const std::string prefix = s.description.name + ": ";
  std::ostream& info = s.description.results_on_standard_output ? std::cerr : std::cout;
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
    s.app.parse(argc, const_cast<char**>(argv));
    s.read_configuration_file();
    s.read_command_line();
    if (s.device != "auto") s.chosen_device = named_device(s.device);
    if (s.threads > 0) set_num_threads(static_cast<int>(s.threads));
    int code = 0;
    {
      const ScopedTrace trace(s.trace);
      code = job();
    }
    // A result that did not reach its reader (a full disk behind a redirection) is no success.
    if (!std::cout.flush() && code == 0) {
      report("standard output could not be written. Is the disk full?");
      return 1;
    }
    return code;
  } catch (const CLI::Success& asked) {  // --help, --version
    return s.app.exit(asked, std::cout, std::cerr);
  } catch (const CLI::ParseError& e) {
    report(std::string(e.what()) + ". See " + s.description.name + " --help.");
    return 2;
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

const std::string& Program::name() const { return state_->description.name; }
Device Program::device() const {
  // Not asked of a card before a job needs it. Programs whose output is their result are silent about it.
  State& s = *state_;
  if (!s.chosen_device) {
    s.chosen_device = automatic_device(!s.description.results_on_standard_output);
    s.device = device_name(*s.chosen_device);  // what is resolved and what is handed on is what runs
  }
  return *s.chosen_device;
}

std::vector<std::string> Program::child_arguments() const {
  if (!state_->trace.empty())
    fail_usage("--trace: each of the programs that this starts would write over the file. Trace one of them by itself.");
  return {"--device", device_name(device()), "--threads", std::to_string(state_->threads)};
}

std::string Program::resolved_configuration() const {
  std::string out = "# Settings of " + name() + " " + dura_version() + ". Run again with --config and this file.\n";
  for (const Binding& b : state_->bindings) out += b.key + " = " + b.toml() + "\n";
  return out;
}

}  // namespace dura
