#include "apps/program/processes.h"

#include <time.h>

#include <iostream>
#include <optional>
#include <sstream>

#include "apps/program/process.h"
#include "engine/base/check.h"
#include "engine/base/log.h"
#include "engine/comm/mpi.h"

namespace dura {
namespace {

class SilentLog {
 public:
  explicit SilentLog(bool silent) : earlier_(log_sink()) {
    if (silent) log_sink() = [](LogLevel, const std::string&) {};
  }
  ~SilentLog() { log_sink() = earlier_; }
  SilentLog(const SilentLog&) = delete;
  SilentLog& operator=(const SilentLog&) = delete;

 private:
  LogSink earlier_;
};

// What all ranks find wrong at the same time, like an option, is said by the first; the others are ended by it before they speak.
int speak_and_end(Communicator& ranks, const std::string& program, const std::string& message, int code) {
  if (!ranks.is_first()) {
    const timespec pause = {.tv_sec = 2, .tv_nsec = 0};
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

std::map<std::string, std::string> facts_of(const std::string& text) {
  std::map<std::string, std::string> facts;
  std::istringstream in(text);
  for (size_t name = 0, value = 0; in >> name >> value && in.get() == '\n';) {
    std::string key(name, '\0'), of_key(value, '\0');
    in.read(key.data(), static_cast<std::streamsize>(name)).read(of_key.data(), static_cast<std::streamsize>(value));
    facts[key] = of_key;
  }
  return facts;
}

}  // namespace

int run_on_all(const std::string& program, double timeout_s, const std::function<int(Communicator&)>& job) {
  if (!started_by_mpi()) return job(alone());
  // Beside the program where it was built, and where it is installed.
  const std::filesystem::path folder = program_folder();
  const std::unique_ptr<Communicator> ranks = open_mpi({folder / "libdura_mpi.so", folder / DURA_MPI_FOLDER / "libdura_mpi.so"}, timeout_s);
  const SilentLog log(!ranks->is_first());
  try {
    return job(*ranks);
  } catch (const UsageError& e) {
    return speak_and_end(*ranks, program, e.what(), 2);
  } catch (const std::bad_alloc&) {
    return speak_and_end(*ranks, program, "out of memory. Use a smaller batch or smaller images.", 1);
  } catch (const std::exception& e) {
    return speak_and_end(*ranks, program, e.what(), 1);
  }
}

void require_agreement(Communicator& ranks, const std::map<std::string, std::string>& facts) {
  const std::vector<std::string> all = ranks.gather(text_of(facts));
  const std::map<std::string, std::string> first = facts_of(all.front());
  for (size_t r = 1; r < all.size(); ++r)
    for (const auto& [name, value] : facts_of(all[r])) {
      const auto found = first.find(name);
      const std::string expected = found == first.end() ? "none" : found->second;
      DURA_CHECK(value == expected, ranks.name_of(static_cast<int64_t>(r)), " has another ", name, ": ", value, ", ", ranks.name_of(0),
                 " has ", expected, ". All processes need the same, or they would not compute one run.");
    }
}

}  // namespace dura
