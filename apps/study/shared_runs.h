// Runs that the processes of one job share out among them, one at a time to whoever is free. Rank 0 says which run begins next and takes
// what came of each; the others ask it. While a rank's own run is at work, in a program of its own, the rank answers messages.
#pragma once
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "apps/program/data_options.h"
#include "apps/program/process.h"
#include "apps/program/program.h"
#include "engine/comm/communicator.h"

namespace dura {

struct SharedRuns {
  // Of rank 0: the number of a run that may begin now. None: no run may; it is asked again after each run that ends.
  std::function<std::optional<int64_t>()> next;
  // On any rank: makes the run, and calls `meanwhile` many times a second while it waits, which is also how the others know that this rank
  // lives. False where the stop request interrupted it. What it throws is its failure, unless `meanwhile` threw it.
  std::function<bool(int64_t run, const std::function<void()>& meanwhile)> make;
  // Of rank 0: the run is done, or has failed with this message. What it throws ends all.
  std::function<void(int64_t run, const std::string& failure)> ended;
};

// Returns on all ranks when no run may begin any more and none is at work. A stop request to any rank interrupts the runs of all; false
// then. Error where rank 0, or for rank 0 any other, gives no sign of life for as long as the communicator allows.
bool share_out(Communicator& ranks, const SharedRuns& runs, const StopRequest& stop);

// Before the first run of a study: the ranks agree on settings, files and data, and the study's folder is there for all of them.
void prepare_shared_study(const Program& program, Communicator& ranks, const std::filesystem::path& folder,
                          const std::vector<std::string>& files, const DataSplits& data);
// Error on all ranks where one of them does not see what rank 0 writes into the folder, which exists there: the runs of several machines
// lie in a folder that all of them share.
void require_shared_folder(Communicator& ranks, const std::filesystem::path& folder);

// Whether there is time for one more run, by how long those of this call took.
class RunBudget {
 public:
  explicit RunBudget(double hours) : hours_(hours) {}  // 0: no limit
  // One more run would take what those that ended took on average. As long as none has, there is no such estimate, and any may begin.
  bool allows_another() const;
  void begins(int64_t run) { begun_[run] = Clock::now(); }
  void ends(int64_t run);  // one that did not begin here is passed over

 private:
  using Clock = std::chrono::steady_clock;
  static double hours(Clock::duration d) { return std::chrono::duration<double>(d).count() / 3600; }

  double hours_, taken_ = 0;
  int64_t ended_ = 0;
  Clock::time_point start_ = Clock::now();
  std::map<int64_t, Clock::time_point> begun_;
};

}  // namespace dura
