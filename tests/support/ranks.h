// Simulated ranks, one thread each.
#pragma once
#include <exception>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/simulated_ranks.h"

namespace dura::test {

// Calls `work` once for each rank, at the same time. What each of them threw; empty where it did not.
inline std::vector<std::string> on_ranks(int64_t size, const SimulatedOptions& options, const std::function<void(Communicator&)>& work) {
  SimulatedRanks ranks(size, options);
  std::vector<std::string> errors(static_cast<size_t>(size));
  std::vector<std::thread> threads;
  for (int64_t r = 0; r < size; ++r)
    threads.emplace_back([&, r] {
      try {
        work(ranks.rank(r));
      } catch (const std::exception& e) {
        errors[static_cast<size_t>(r)] = e.what();
      }
    });
  for (std::thread& t : threads) t.join();
  return errors;
}

}  // namespace dura::test
