#include "apps/program/processes.h"

#include <time.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <sstream>
#include <streambuf>

#include "apps/program/process.h"
#include "apps/program/toml.h"
#include "engine/base/check.h"
#include "engine/base/log.h"
#include "engine/base/sha256.h"
#include "engine/base/text.h"
#include "engine/comm/mpi.h"
#include "engine/cpu/cpu_features.h"

namespace dura {
namespace {

// All that goes to the log and to standard output is dropped.
class Silence : std::streambuf {
 public:
  explicit Silence(bool silent) : log_(log_sink()), output_(std::cout.rdbuf()) {
    if (!silent) return;
    log_sink() = [](LogLevel, const std::string&) {};
    std::cout.rdbuf(this);
  }
  ~Silence() override {
    log_sink() = log_;
    std::cout.rdbuf(output_);
  }
  Silence(const Silence&) = delete;
  Silence& operator=(const Silence&) = delete;

 private:
  int overflow(int c) override { return c == traits_type::eof() ? 0 : c; }

  LogSink log_;
  std::streambuf* output_;
};

// What several ranks find wrong at the same time, like an option or a rank that hangs, is said by the first of them; the others are ended
// by it before they speak.
int speak_and_end(Communicator& ranks, const std::string& program, const std::string& message, int code) {
  if (!ranks.is_first()) {
    const int64_t milliseconds = 2000 + 700 * std::min<int64_t>(ranks.rank(), 8);
    const timespec pause = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1'000'000};
    nanosleep(&pause, nullptr);
  }
  std::cout.flush();
  std::cerr << concat(program, ": error: ", message.starts_with(ranks.own_name()) ? "" : ranks.own_name() + ": ", message, "\n")
            << std::flush;
  ranks.end_all(code);
  return code;
}

std::string text_of(const std::map<std::string, std::string>& facts) {
  std::string text;
  for (const auto& [name, value] : facts) text += concat(name.size(), " ", value.size(), "\n", name, value);
  return text;
}

std::map<std::string, std::string> facts_in(const std::string& text) {
  std::map<std::string, std::string> facts;
  std::istringstream in(text);
  for (size_t name = 0, value = 0; in >> name >> value && in.get() == '\n';) {
    std::string key(name, '\0'), of_key(value, '\0');
    in.read(key.data(), static_cast<std::streamsize>(name)).read(of_key.data(), static_cast<std::streamsize>(value));
    facts[key] = of_key;
  }
  return facts;
}

// How many processes Slurm began in this step; none where it began no step.
std::optional<int64_t> slurm_tasks() {
  const char* text = std::getenv("SLURM_STEP_NUM_TASKS");
  return text ? parse_number<int64_t>(text) : std::nullopt;
}

}  // namespace

int run_on_all(const Program& program, const std::function<int(Communicator&)>& job) {
  if (!started_by_mpi()) {
    if (const std::optional<int64_t> tasks = slurm_tasks(); tasks && *tasks > 1)
      fail_usage("srun started ", *tasks,
                 " processes, and none of them knows of the others: each would do all of the work. Use srun "
                 "--mpi=pmix (srun --mpi=list shows what there is) or mpirun. For runs of their own start each by: env -u "
                 "SLURM_STEP_NUM_TASKS dura-...");
    return job(alone());
  }
  // Beside the program where it was built, and where it is installed.
  const std::filesystem::path folder = program_folder();
  const std::unique_ptr<Communicator> ranks =
      open_mpi({folder / "libdura_mpi.so", folder / DURA_MPI_FOLDER / "libdura_mpi.so"}, program.comm_timeout());
  const Silence others(!ranks->is_first());
  const std::string& name = program.name();
  try {
    return job(*ranks);
  } catch (const UsageError& e) {
    return speak_and_end(*ranks, name, e.what(), 2);
  } catch (const std::bad_alloc&) {
    return speak_and_end(*ranks, name, "out of memory. Use a smaller batch or smaller images.", 1);
  } catch (const std::exception& e) {
    return speak_and_end(*ranks, name, e.what(), 1);
  }
}

std::map<std::string, std::string> facts_of(const Program& program, const std::string& manifest_sha256,
                                            const std::vector<std::string>& files) {
  std::map<std::string, std::string> facts = {
      {"version", dura_version()}, {"kernels", cpu::kernels().name}, {"manifest_sha256", manifest_sha256}};
  for (const TomlEntry& e : parse_toml(program.resolved_configuration(), "the configuration"))
    if (e.key != "threads" && e.key != "checked" && e.key != "cache-budget")
      facts["--" + e.key] = e.is_list ? toml_list(e.values) : e.values.at(0);
  if (program.computes()) facts["device"] = device_name(program.device());
  for (const std::string& file : files)
    if (!file.empty()) facts["SHA-256 of " + file] = sha256_file_hex(file);
  return facts;
}

void require_agreement(Communicator& ranks, const std::map<std::string, std::string>& facts) {
  const std::vector<std::string> all = ranks.gather(text_of(facts));
  const std::map<std::string, std::string> first = facts_in(all.front());
  for (size_t r = 1; r < all.size(); ++r)
    for (const auto& [name, value] : facts_in(all[r])) {
      const auto found = first.find(name);
      const std::string expected = found == first.end() ? "none" : found->second;
      DURA_CHECK(value == expected, ranks.name_of(static_cast<int64_t>(r)), " has another ", name, ": ", value, ", ", ranks.name_of(0),
                 " has ", expected, ". All processes need the same, or they would not compute one run.");
    }
}

}  // namespace dura
