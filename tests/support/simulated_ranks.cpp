#include "tests/support/simulated_ranks.h"

#include <algorithm>

#include "engine/base/check.h"
#include "engine/base/random.h"

namespace dura {

class SimulatedRanks::Rank final : public Communicator {
 public:
  Rank(SimulatedRanks& all, int64_t rank, int64_t size)
      : all_(all), rank_(rank), size_(size), random_(random_key(all.options_.seed, "simulated ranks"), static_cast<uint64_t>(rank)) {}
  int64_t rank() const override { return rank_; }
  int64_t size() const override { return size_; }
  double timeout_s() const override { return all_.options_.timeout_s; }
  std::unique_ptr<Arrival> expect(int64_t from, std::span<std::byte> bytes) override {
    return std::make_unique<SimulatedArrival>(*this, from, bytes);
  }
  void end_all(int code) override { fail(own_name(), " aborts all with ", code); }

 protected:
  void move(int64_t to, std::span<const std::byte> send, int64_t from, std::span<std::byte> receive) override {
    using Clock = std::chrono::steady_clock;
    const SimulatedOptions& o = all_.options_;
    if (rank_ == o.lost_rank && moves_++ >= o.lost_at) fail(own_name(), " is lost");
    const auto until = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(o.timeout_s));
    std::unique_lock lock(all_.mutex_);
    give_sign();
    if (!send.empty()) {
      std::deque<Message>& way = all_.under_way_[{rank_, to}];
      const auto delay = o.longest_delay_us > 0 ? random_.below(static_cast<uint64_t>(o.longest_delay_us)) : 0;
      auto ready = Clock::now() + std::chrono::microseconds(delay);
      if (!way.empty()) ready = std::max(ready, way.back().ready);  // between two ranks the order stays, as MPI's does
      way.push_back({{send.begin(), send.end()}, ready});
      all_.changed_.notify_all();
    }
    if (receive.empty()) return;
    std::deque<Message>& way = all_.under_way_[{from, rank_}];
    while (way.empty() || way.front().ready > Clock::now()) {
      give_sign();
      DURA_CHECK(Clock::now() < until, own_name(), ": ", name_of(from), " has not answered for ", o.timeout_s, " s");
      DURA_CHECK(!given_up(), own_name(), ": given up");
      const auto look_again = std::min(until, Clock::now() + std::chrono::milliseconds(20));
      all_.changed_.wait_until(lock, way.empty() ? look_again : std::min(look_again, way.front().ready));
    }
    take_first(way, from, receive);
  }

 private:
  class SimulatedArrival final : public Arrival {
   public:
    SimulatedArrival(Rank& rank, int64_t from, std::span<std::byte> bytes) : rank_(rank), from_(from), bytes_(bytes) {}
    bool here() override {
      if (here_) return true;
      const std::scoped_lock lock(rank_.all_.mutex_);
      rank_.give_sign();
      std::deque<Message>& way = rank_.all_.under_way_[{from_, rank_.rank_}];
      const auto now = std::chrono::steady_clock::now();
      if (way.empty()) {
        const std::chrono::duration<double> silent = now - rank_.all_.alive_[static_cast<size_t>(from_)];
        DURA_CHECK(silent.count() < rank_.timeout_s(), rank_.own_name(), ": ", rank_.name_of(from_), " has not answered for ",
                   rank_.timeout_s(), " s");
      }
      if (way.empty() || way.front().ready > now) return false;
      rank_.take_first(way, from_, bytes_);
      return here_ = true;
    }

   private:
    Rank& rank_;
    int64_t from_;
    std::span<std::byte> bytes_;
    bool here_ = false;
  };

  void give_sign() { all_.alive_[static_cast<size_t>(rank_)] = std::chrono::steady_clock::now(); }  // under the lock
  void take_first(std::deque<Message>& way, int64_t from, std::span<std::byte> receive) const {
    const std::vector<std::byte> bytes = std::move(way.front().bytes);
    way.pop_front();
    DURA_CHECK(bytes.size() == receive.size(), own_name(), ": ", name_of(from), " sent ", bytes.size(), " bytes, ", receive.size(),
               " were expected. The ranks do not do the same work.");
    std::copy(bytes.begin(), bytes.end(), receive.begin());
  }

  SimulatedRanks& all_;
  int64_t rank_, size_, moves_ = 0;
  Random random_;
};

SimulatedRanks::SimulatedRanks(int64_t size, const SimulatedOptions& options) : options_(options) {
  alive_.assign(static_cast<size_t>(size), std::chrono::steady_clock::now());
  for (int64_t r = 0; r < size; ++r) ranks_.push_back(std::make_unique<Rank>(*this, r, size));
}
SimulatedRanks::~SimulatedRanks() = default;

}  // namespace dura
