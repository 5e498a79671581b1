// Runs that ranks share out, with ranks that are threads and runs that are naps.
#include "tests/support/catch.h"

#include <signal.h>

#include <mutex>
#include <set>

#include "apps/study/shared_runs.h"
#include "tests/support/ranks.h"
#include "tests/support/temporary_folder.h"

using namespace dura;
using namespace dura::test;
using Catch::Contains;

namespace {

struct Shared {
  std::mutex mutex;
  std::vector<int64_t> made_by = std::vector<int64_t>(12, -1);
  std::vector<int64_t> ended;  // rank 0's
  std::vector<bool> complete = std::vector<bool>(8);

  int64_t ranks_that_made() const { return std::ssize(std::set<int64_t>(made_by.begin(), made_by.end())); }
};

void nap(int64_t milliseconds) { std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds)); }

// `next` gives 0, 1, ...; what a run does is up to the test.
std::vector<std::string> share(int64_t size, Shared& all, const StopRequest& stop,
                               const std::function<bool(Communicator&, int64_t, const std::function<void()>&)>& make,
                               const std::function<void(int64_t, const std::string&)>& ended = {}, double timeout_s = 30) {
  return on_ranks(size, {.longest_delay_us = 2000, .timeout_s = timeout_s}, [&](Communicator& ranks) {
    int64_t at = 0;
    const SharedRuns runs{.next = [&] { return at < std::ssize(all.made_by) ? std::optional(at++) : std::nullopt; },
                          .make =
                              [&](int64_t run, const std::function<void()>& meanwhile) {
                                {
                                  const std::lock_guard lock(all.mutex);
                                  all.made_by[static_cast<size_t>(run)] = ranks.rank();
                                }
                                return make(ranks, run, meanwhile);
                              },
                          .ended =
                              [&](int64_t run, const std::string& failure) {
                                all.ended.push_back(run);
                                if (ended) ended(run, failure);
                              }};
    all.complete[static_cast<size_t>(ranks.rank())] = share_out(ranks, runs, stop);
  });
}

}  // namespace

TEST_CASE("runs go to whoever is free, each once, by any number of ranks", "[apps][study][comm]") {
  const StopRequest stop;
  for (const int64_t size : {1, 2, 5}) {
    Shared all;
    // The first takes longer than all others together take.
    const std::vector<std::string> errors = share(size, all, stop, [&](Communicator&, int64_t run, const std::function<void()>& meanwhile) {
      for (int i = 0; i < (run == 0 ? 100 : 2); ++i) meanwhile(), nap(5);
      return true;
    });
    CAPTURE(size);
    for (const std::string& e : errors) CHECK(e == "");
    CHECK(all.ended.size() == 12);
    CHECK(std::set<int64_t>(all.ended.begin(), all.ended.end()).size() == 12);
    CHECK(all.ranks_that_made() == size);
    if (size > 1) CHECK(all.ended.back() == 0);
    for (int64_t r = 0; r < size; ++r) CHECK(all.complete[static_cast<size_t>(r)]);
  }
}

TEST_CASE("a run that fails is told to the first rank, which goes on or ends all", "[apps][study][comm]") {
  const StopRequest stop;
  std::string told;
  const auto make = [](Communicator& ranks, int64_t run, const std::function<void()>&) {
    nap(5);
    DURA_CHECK(run != 5, "run 5 failed on ", ranks.name_of(ranks.rank()));
    return true;
  };
  Shared all;
  const std::vector<std::string> errors = share(3, all, stop, make, [&](int64_t run, const std::string& failure) {
    if (run == 5) told = failure;
    CHECK((run == 5 || failure.empty()));
  });
  for (const std::string& e : errors) CHECK(e == "");
  CHECK_THAT(told, Contains("run 5 failed on rank "));
  CHECK(all.ended.size() == 12);
}

TEST_CASE("a request to stop at any rank interrupts the runs of all, and none begins any more", "[apps][study][comm]") {
  for (const int64_t asked : {0, 2}) {
    const StopRequest stop;
    Shared all;
    const std::vector<std::string> errors =
        share(3, all, stop, [&](Communicator& ranks, int64_t run, const std::function<void()>& meanwhile) {
          if (run < 3) return true;
          for (int i = 0; i < 1000 && !stop.received(); ++i) {
            if (ranks.rank() == asked && i == 5) stop.came_to_another(SIGTERM);
            meanwhile(), nap(5);
          }
          return !stop.received();
        });
    CAPTURE(asked);
    for (const std::string& e : errors) CHECK(e == "");
    CHECK(all.ended.size() == 3);
    for (size_t r = 0; r < 3; ++r) CHECK_FALSE(all.complete[r]);
    CHECK(all.made_by.back() == -1);
  }
}

TEST_CASE("a rank that gives no sign of life while runs are at work is named, and no run is blamed for it", "[apps][study][comm]") {
  for (const int64_t silent : {0, 1}) {
    const StopRequest stop;
    Shared all;
    std::string blamed;
    const std::vector<std::string> errors = share(
        2, all, stop,
        [&](Communicator& ranks, int64_t, const std::function<void()>& meanwhile) {
          for (int i = 0; i < 600; ++i) {
            if (ranks.rank() != silent) meanwhile();
            nap(5);
          }
          return true;
        },
        [&](int64_t, const std::string& failure) { blamed += failure; }, 0.5);
    CAPTURE(silent, errors[0], errors[1]);
    CHECK_THAT(errors[static_cast<size_t>(1 - silent)], Contains(concat(": rank ", silent, " has not answered for 0.5 s")));
    CHECK(blamed == "");
    CHECK(all.ended.size() < 2);
  }
}

TEST_CASE("a rank at work for longer than a rank may be silent is not given up: it looks for messages", "[apps][study][comm]") {
  const StopRequest stop;
  Shared all;
  const std::vector<std::string> errors = share(
      3, all, stop,
      [&](Communicator&, int64_t run, const std::function<void()>& meanwhile) {
        for (int i = 0; i < (run == 1 ? 400 : 1); ++i) meanwhile(), nap(5);
        return true;
      },
      [](int64_t, const std::string& failure) { CHECK(failure == ""); }, 1);
  for (const std::string& e : errors) CHECK(e == "");
  CHECK(all.ended.size() == 12);
}

TEST_CASE("no further run begins where it would likely exceed the time", "[apps][study]") {
  RunBudget none(0), budget(100.0 / 3600 / 1000);
  CHECK((none.allows_another() && budget.allows_another()));
  for (int64_t run = 0; run < 2; ++run) {
    budget.begins(run), none.begins(run);
    CHECK(budget.allows_another());  // none has ended: there is no estimate
  }
  nap(60);
  for (int64_t run = 0; run < 2; ++run) budget.ends(run), none.ends(run);
  CHECK_FALSE(budget.allows_another());  // 60 ms are gone, and one takes 60 ms
  CHECK(none.allows_another());
}

TEST_CASE("a folder that not all machines share is refused", "[apps][study][comm]") {
  const TemporaryFolder first, second;
  const std::vector<std::string> errors = on_ranks(2, {}, [&](Communicator& ranks) {
    ranks.introduce(concat("node", ranks.rank()));
    require_shared_folder(ranks, first.path());
    require_shared_folder(ranks, ranks.is_first() ? first.path() : second.path());
  });
  for (const std::string& e : errors) CHECK_THAT(e, Contains("rank 1 on node1 does not see what rank 0 on node0 writes into "));
}
