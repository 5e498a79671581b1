// Ranks as threads of one process, for tests: messages that take their time, and ranks that are lost on purpose.
#pragma once
#include <condition_variable>
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "engine/comm/communicator.h"

namespace dura {

struct SimulatedOptions {
  uint64_t seed = 0;
  int64_t longest_delay_us = 0;  // of a message; those of different senders overtake each other
  double timeout_s = 30;
  // This rank fails in its move number `lost_at`, counted from 0, and never answers again; -1: none.
  int64_t lost_rank = -1, lost_at = 0;
};

class SimulatedRanks {
 public:
  explicit SimulatedRanks(int64_t size, const SimulatedOptions& options = {});
  ~SimulatedRanks();
  // For one thread each.
  Communicator& rank(int64_t rank) { return *ranks_.at(static_cast<size_t>(rank)); }

 private:
  class Rank;
  struct Message {
    std::vector<std::byte> bytes;
    std::chrono::steady_clock::time_point ready;
  };
  SimulatedOptions options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::pair<int64_t, int64_t>, std::deque<Message>> under_way_;  // by sender and receiver
  std::vector<std::chrono::steady_clock::time_point> alive_;              // by rank: when it last looked or moved something
  std::vector<std::unique_ptr<Communicator>> ranks_;
};

}  // namespace dura
