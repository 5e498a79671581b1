#include "engine/comm/mpi.h"

#include <dlfcn.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>

#include "engine/base/check.h"
#include "engine/base/text.h"
#include "engine/comm/mpi/mpi_table.h"

namespace dura {
namespace {

using Time = std::chrono::steady_clock;
using seconds = std::chrono::duration<double>;

class MpiCommunicator final : public Communicator {
 public:
  MpiCommunicator(const DuraMpi* mpi, double timeout_s) : mpi_(mpi), timeout_s_(timeout_s) {
    if (const char* error = mpi_->start(&rank_, &size_)) fail("MPI does not start: ", error);
    utsname system = {};
    heard_.resize(static_cast<size_t>(size_));
    introduce(uname(&system) == 0 ? system.nodename : "an unknown host");
  }
  // An exception passes: the others may not be where they could end together.
  ~MpiCommunicator() override {
    if (std::uncaught_exceptions() == 0 && !ended_) mpi_->finish();
  }
  int64_t rank() const override { return rank_; }
  int64_t size() const override { return size_; }
  double timeout_s() const override { return timeout_s_; }
  void end_all(int code) override {
    ended_ = true;
    mpi_->abort(code);
  }
  std::unique_ptr<Arrival> expect(int64_t from, std::span<std::byte> bytes) override {
    return std::make_unique<MpiArrival>(*this, from, bytes);
  }

 protected:
  void move(int64_t to, std::span<const std::byte> send, int64_t from, std::span<std::byte> receive) override {
    const Time::time_point begin = Time::now();
    int64_t number = 0;
    Patience patience{.until = timeout_s_};
    check(mpi_->begin_move(to, send.data(), send.size(), from, receive.data(), receive.size(), &number), from);
    bool sent = false, received = false;
    // The first looks follow each other closely, as most messages are short; later ones leave the processor to whoever computes. A look
    // moves a piece of a long message at most, and a thread that slept may have to wait for a processor: so it looks often when it has one.
    for (int64_t looks = 1;; ++looks) {
      check(mpi_->look(number, &sent, &received), received ? to : from);
      if (sent && received) return;
      if (looks < 100 || looks % looks_in_a_row != 0) continue;
      check_parent();
      DURA_CHECK(!given_up(), own_name(), ": given up");
      const seconds waited = Time::now() - begin;
      be_patient(patience, received ? to : from, waited.count());
      const timespec pause = {.tv_sec = 0, .tv_nsec = waited.count() < 0.01 ? 20'000 : 200'000};
      nanosleep(&pause, nullptr);
    }
  }

 private:
  class MpiArrival final : public Arrival {
   public:
    MpiArrival(const MpiCommunicator& all, int64_t from, std::span<std::byte> bytes) : all_(all), from_(from) {
      all.check(all.mpi_->begin_move(0, nullptr, 0, from, bytes.data(), bytes.size(), &number_), from);
    }
    bool here() override {
      if (here_) return true;
      bool sent = false;
      all_.check(all_.mpi_->look(number_, &sent, &here_), from_);
      all_.check_parent();
      all_.answer_posts();
      if (!here_) require_life();
      return here_;
    }

   private:
    // The sender may be at work for hours before it has something to say; it looks for messages meanwhile, and so it answers.
    void require_life() {
      const Time::time_point now = Time::now();
      // Whoever has not looked for long itself does not know how long the other has been silent.
      if (now - looked_ > seconds(silence_s / 2)) since_ = now;
      looked_ = now;
      since_ = std::max(since_, all_.heard_[static_cast<size_t>(from_)]);
      if (now - asked_ > seconds(all_.timeout_s_ / 4)) {
        all_.check(all_.mpi_->post(from_, question), from_);
        asked_ = now;
      }
      const seconds silent = now - since_;
      DURA_CHECK(
          silent < seconds(all_.timeout_s_ + silence_s), all_.own_name(), ": ", all_.name_of(from_), " has not answered for ",
          std::floor(silent.count()),
          " s. It hangs, or its machine cannot be reached. Start the same command again (dura-train with --resume), or give it longer "
          "(--comm-timeout).");
    }

    const MpiCommunicator& all_;
    int64_t from_, number_ = 0;
    bool here_ = false;
    Time::time_point since_ = Time::now(), looked_ = since_, asked_ = since_;  // last sign of life, own look, question
  };

  // Whoever waits long asks the rank that it waits for whether it lives; one that waits itself answers. So only those speak that wait for a
  // rank that is silent.
  static constexpr char question = '?', answer = '!';
  // Longer than a rank that is about to speak says nothing (processes.cpp of apps/program).
  static constexpr double silence_s = 10;
  static constexpr int most_answers = 4;
  static constexpr int64_t looks_in_a_row = 8;
  struct Patience {
    double until;        // so many seconds of waiting pass before the other rank is asked
    int64_t asked = -1;  // whom; -1: nobody
    int answers = 0;
  };
  void be_patient(Patience& p, int64_t other, double waited) const {
    answer_posts();
    if (p.asked >= 0 && p.asked != other) p.asked = -1, p.until = waited;  // what that one had to give is here, what goes to another is not
    if (p.asked < 0 && waited >= p.until) {
      lives_ = -1;
      check(mpi_->post(other, question), other);
      p.asked = other, p.until = waited;
    }
    if (p.asked < 0) return;
    if (lives_ == other) {  // whoever waits for the one that hangs will say so, unless nobody does
      DURA_CHECK(++p.answers < most_answers, own_name(), ": ", name_of(other), " lives and waits as well, after ", std::floor(waited),
                 " s. The ranks wait for each other: they do not do the same work, or a message is lost. Go on with --resume.");
      p.asked = -1, p.until = waited + std::max(timeout_s_, 2 * silence_s);
      return;
    }
    DURA_CHECK(waited < p.until + silence_s, own_name(), ": ", name_of(other), " has not answered for ", std::floor(waited),
               " s. It hangs, or its machine cannot be reached. Go on with --resume, or give it longer (--comm-timeout).");
  }
  void answer_posts() const {
    int64_t from = 0;
    for (char letter = 0; check(mpi_->next_post(&from, &letter), from), letter != 0;) {
      heard_.at(static_cast<size_t>(from)) = Time::now();
      if (letter == question) check(mpi_->post(from, answer), from);
      if (letter == answer) lives_ = from;
    }
  }

  void check_parent() const { DURA_CHECK(getppid() == parent_, own_name(), ": the program that started the processes is gone"); }
  void check(const char* error, int64_t other) const { DURA_CHECK(!error, own_name(), ": no connection to ", name_of(other), ": ", error); }

  const DuraMpi* mpi_;
  double timeout_s_;
  mutable int64_t lives_ = -1;                   // who has answered last
  mutable std::vector<Time::time_point> heard_;  // by rank: when a letter came from it
  bool ended_ = false;
  int64_t rank_ = 0, size_ = 1;
  const pid_t parent_ = getppid();
};

// The first of these variables that is a number; 0 where none is.
int64_t number_in_environment(std::initializer_list<const char*> variables) {
  for (const char* variable : variables)
    if (const char* text = std::getenv(variable))
      if (const std::optional<int64_t> number = parse_number<int64_t>(text); number && *number >= 0) return *number;
  return 0;
}

}  // namespace

int64_t rank_in_job() { return number_in_environment({"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"}); }
int64_t rank_on_machine() {
  return number_in_environment({rank_on_machine_variable, "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"});
}

bool started_by_mpi() {
  for (const char* variable : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMI_RANK", "PMIX_RANK"})
    if (std::getenv(variable)) return true;
  return false;
}

std::unique_ptr<Communicator> open_mpi(const std::vector<std::filesystem::path>& candidates, double timeout_s) {
  std::string tried;
  for (const std::filesystem::path& file : candidates) {
    tried += "\n  " + file.string();
    if (!std::filesystem::exists(file)) continue;
    // Open MPI opens plug-ins that look for its symbols among those that all may see.
    void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_GLOBAL);
    DURA_CHECK(library, file.string(), " cannot be opened: ", dlerror(), ". Install MPI (Debian: openmpi-bin).");
    const auto table = reinterpret_cast<DuraMpiTable>(dlsym(library, "dura_mpi_table"));
    DURA_CHECK(table && table()->version == dura_mpi_version, file.string(),
               ": not the library of this version of dura. Install dura anew.");
    return std::make_unique<MpiCommunicator>(table(), timeout_s);
  }
  fail(
      "this process was started as one of several, but dura was built without MPI. Build it where MPI is installed (Debian: "
      "libopenmpi-dev), or start it alone. Looked for:",
      tried);
}

}  // namespace dura
