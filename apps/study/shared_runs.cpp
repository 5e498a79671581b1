#include "apps/study/shared_runs.h"

#include <time.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <memory>
#include <vector>

#include "apps/program/processes.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/log.h"

namespace dura {
namespace {

// Rank 0 sends `begin`, `stop`, `leave`; the others send `is_free`, `is_done`, `has_failed`, `is_interrupted`, `asked_to_stop`.
enum class Word : int64_t { begin, stop, leave, is_free, is_done, has_failed, is_interrupted, asked_to_stop };

struct Message {
  Word word = Word::is_free;
  int64_t number = 0;  // of a run, or a signal
  std::array<char, 2000> text{};
};

Message message(Word word, int64_t number, const std::string& text = "") {
  Message m{.word = word, .number = number};
  std::copy_n(text.begin(), std::min(text.size(), m.text.size() - 1), m.text.begin());
  return m;
}

void send(Communicator& ranks, int64_t to, const Message& m) { ranks.send(to, std::as_bytes(std::span(&m, 1))); }

// Messages of one other rank, one after the other.
class Inbox {
 public:
  Inbox(Communicator& ranks, int64_t from) : ranks_(ranks), from_(from) {}
  std::optional<Message> look() {
    if (!arrival_) arrival_ = ranks_.expect(from_, std::as_writable_bytes(std::span(&incoming_, 1)));
    if (!arrival_->here()) return {};
    arrival_.reset();
    return incoming_;
  }

 private:
  Communicator& ranks_;
  int64_t from_;
  Message incoming_;
  std::unique_ptr<Arrival> arrival_;
};

void nap() {
  const timespec pause = {.tv_sec = 0, .tv_nsec = 20'000'000};
  nanosleep(&pause, nullptr);
}

// Makes a run of this rank. Empty where the stop request interrupted it, else its failure, "" for none. What goes wrong with another rank
// meanwhile is no failure of the run: it ends all.
std::optional<std::string> failure_of(const SharedRuns& runs, int64_t run, const std::function<void()>& meanwhile) {
  bool others_failed = false;
  try {
    const bool done = runs.make(run, [&] {
      others_failed = true;
      meanwhile();
      others_failed = false;
    });
    return done ? std::optional(std::string()) : std::nullopt;
  } catch (const UsageError&) {
    throw;
  } catch (const Error& e) {
    if (others_failed) throw;
    return e.what();
  }
}

class First {
 public:
  First(Communicator& ranks, const SharedRuns& runs, const StopRequest& stop) : ranks_(ranks), runs_(runs), stop_(stop) {
    for (int64_t r = 1; r < ranks.size(); ++r) others_.push_back({.inbox = std::make_unique<Inbox>(ranks, r), .rank = r});
  }

  bool run() {
    for (;;) {
      serve();
      if (const std::optional<int64_t> own = next()) {
        make(*own);
      } else if (std::none_of(others_.begin(), others_.end(), [](const Other& o) { return o.at_work; })) {
        break;
      } else {
        nap();
      }
    }
    for (Other& o : others_) {
      while (!o.free) serve_one(o), nap();
      send(ranks_, o.rank, message(Word::leave, 0));
    }
    return !stop_.received();
  }

 private:
  struct Other {
    std::unique_ptr<Inbox> inbox;
    int64_t rank;
    bool free = false, at_work = false, told_to_stop = false;
  };

  std::optional<int64_t> next() { return stop_.received() ? std::nullopt : runs_.next(); }

  void make(int64_t run) {
    if (const std::optional<std::string> failure = failure_of(runs_, run, [this] { serve(); })) runs_.ended(run, *failure);
  }

  void serve() {
    for (Other& o : others_) serve_one(o);
    for (Other& o : others_) {
      if (stop_.received() && o.at_work && !o.told_to_stop) {
        send(ranks_, o.rank, message(Word::stop, stop_.signal()));
        o.told_to_stop = true;
      }
      if (!o.free) continue;
      if (const std::optional<int64_t> run = next()) {
        log_info("to ", ranks_.name_of(o.rank), ":");
        send(ranks_, o.rank, message(Word::begin, *run));
        o.free = false, o.at_work = true;
      }
    }
  }

  void serve_one(Other& o) {
    while (const std::optional<Message> m = o.inbox->look()) {
      if (m->word == Word::asked_to_stop) {
        stop_.came_to_another(static_cast<int>(m->number));
        continue;
      }
      o.free = true, o.at_work = false;
      if (m->word == Word::is_done || m->word == Word::has_failed) runs_.ended(m->number, m->word == Word::is_done ? "" : m->text.data());
    }
  }

  Communicator& ranks_;
  const SharedRuns& runs_;
  const StopRequest& stop_;
  std::vector<Other> others_;
};

bool run_other(Communicator& ranks, const SharedRuns& runs, const StopRequest& stop) {
  Inbox inbox(ranks, 0);
  bool told = false;
  const auto heed_stop = [&] {
    if (stop.received() && !told) send(ranks, 0, message(Word::asked_to_stop, stop.signal()));
    told = told || stop.received();
  };
  send(ranks, 0, message(Word::is_free, 0));
  for (;; nap()) {
    heed_stop();
    const std::optional<Message> m = inbox.look();
    if (!m) continue;
    if (m->word == Word::leave) return !stop.received();
    if (m->word != Word::begin) continue;  // a request to stop that came after the run had ended
    const std::optional<std::string> failure = failure_of(runs, m->number, [&] {
      heed_stop();
      if (const std::optional<Message> n = inbox.look()) stop.came_to_another(static_cast<int>(n->number)), told = true;
    });
    send(ranks, 0,
         message(!failure           ? Word::is_interrupted
                 : failure->empty() ? Word::is_done
                                    : Word::has_failed,
                 m->number, failure.value_or("")));
  }
}

}  // namespace

bool share_out(Communicator& ranks, const SharedRuns& runs, const StopRequest& stop) {
  return ranks.is_first() ? First(ranks, runs, stop).run() : run_other(ranks, runs, stop);
}

void prepare_shared_study(const Program& program, Communicator& ranks, const std::filesystem::path& folder,
                          const std::vector<std::string>& files, const DataSplits& data) {
  require_agreement(ranks, facts_of(program, data.manifest_sha256, files));
  if (ranks.is_first()) std::filesystem::create_directories(folder);
  require_shared_folder(ranks, folder);
}

void require_shared_folder(Communicator& ranks, const std::filesystem::path& folder) {
  if (ranks.size() == 1) return;
  const std::filesystem::path probe = folder / ".shared_by_all";
  if (ranks.is_first()) write_file_atomically(probe, std::string_view("x"));
  ranks.barrier();
  const std::vector<std::string> seen = ranks.gather(std::filesystem::exists(probe) ? "yes" : "no");
  if (ranks.is_first()) std::filesystem::remove(probe);
  for (size_t r = 0; r < seen.size(); ++r)
    DURA_CHECK(seen[r] == "yes", ranks.name_of(static_cast<int64_t>(r)), " does not see what ", ranks.name_of(0), " writes into ",
               folder.string(), ". Runs that processes share out need a folder that all machines share.");
}

bool RunBudget::allows_another() const {
  return hours_ == 0 || ended_ == 0 || hours(Clock::now() - start_) + taken_ / static_cast<double>(ended_) <= hours_;
}

void RunBudget::ends(int64_t run) {
  const auto found = begun_.find(run);
  if (found == begun_.end()) return;
  taken_ += hours(Clock::now() - found->second), ++ended_;
  begun_.erase(found);
}

}  // namespace dura
