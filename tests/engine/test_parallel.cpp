#include "tests/support/catch.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/parallel.h"

using namespace dura;

TEST_CASE("parallel_for runs every task once, for any number of threads", "[engine][parallel]") {
  const int before = num_threads();
  for (int threads : {1, 2, 5}) {
    set_num_threads(threads);
    CHECK(num_threads() == threads);
    for (int64_t tasks : {0, 1, 2, 7, 1000}) {
      std::vector<std::atomic<int>> runs(static_cast<size_t>(tasks));
      std::atomic<int> wrong_index{0};
      for (int repeat = 0; repeat < 50; ++repeat)
        parallel_for(tasks, [&](int64_t i) {
          ++runs[static_cast<size_t>(i)];
          if (worker_index() < 0 || worker_index() >= threads) ++wrong_index;
        });
      int wrong = 0;
      for (const auto& r : runs) wrong += r != 50;
      CHECK(wrong == 0);
      CHECK(wrong_index == 0);
    }
  }
  set_num_threads(before);
}

TEST_CASE("No two tasks that run at the same time have the same worker index", "[engine][parallel]") {
  const int before = num_threads();
  set_num_threads(4);
  std::vector<std::atomic<int>> inside(4);
  std::atomic<int> shared{0};
  parallel_for(2000, [&](int64_t) {
    std::atomic<int>& mine = inside[static_cast<size_t>(worker_index())];
    if (mine.fetch_add(1) != 0) ++shared;
    for (int i = 0; i < 100; ++i) std::atomic_signal_fence(std::memory_order_seq_cst);
    mine.fetch_sub(1);
  });
  CHECK(shared == 0);
  set_num_threads(before);
}

TEST_CASE("parallel_for: a thread has neighbouring tasks, and whoever is done helps with the others'", "[engine][parallel]") {
  const int before = num_threads();
  set_num_threads(2);
  constexpr int64_t tasks = 100;
  std::array<std::atomic<int>, tasks> worker{};
  std::atomic<int64_t> done{0};
  // Nobody leaves its first task before another thread has begun one, or this would say nothing.
  std::atomic<int> begun{0};
  std::array<std::atomic<int64_t>, 2> first{-1, -1};
  parallel_for(tasks, [&](int64_t i) {
    const auto me = static_cast<size_t>(worker_index());
    if (first[me] < 0) {
      first[me] = i;
      ++begun;
      while (begun < 2) std::this_thread::yield();
      // The caller stays here until the rest of its share was done for it.
      if (me == 0)
        while (done < tasks - 1) std::this_thread::yield();
    }
    worker[static_cast<size_t>(i)] = worker_index();
    ++done;
  });
  CHECK(first[0] == 0);
  CHECK(first[1] == tasks / 2);  // where its share begins
  CHECK(worker[0] == 0);
  for (size_t i = 1; i < tasks; ++i) {
    INFO(i);
    CHECK(worker[i] == 1);
  }
  set_num_threads(before);
}

TEST_CASE("parallel_for: nested loops run in line, exceptions reach the caller, and the pool goes on", "[engine][parallel]") {
  const int before = num_threads();
  set_num_threads(3);
  std::atomic<int> count{0};
  parallel_for(8, [&](int64_t) {
    parallel_for(8, [&](int64_t) { ++count; });
    if (num_threads() != 3) count = -1000;  // may be asked from inside a task
  });
  CHECK(count == 64);
  for (int repeat = 0; repeat < 20; ++repeat)
    CHECK_THROWS_WITH(parallel_for(100, [](int64_t i) { DURA_CHECK(i != 50, "task ", i, " failed"); }), "task 50 failed");
  count = 0;
  parallel_for(100, [&](int64_t) { ++count; });
  CHECK(count == 100);
  set_num_threads(before);
}

TEST_CASE("parallel_for from several threads at once", "[engine][parallel]") {
  std::atomic<int64_t> sum{0};
  std::vector<std::thread> callers;
  for (int t = 0; t < 4; ++t)
    callers.emplace_back([&] {
      for (int repeat = 0; repeat < 100; ++repeat) parallel_for(50, [&](int64_t i) { sum += i; });
    });
  for (std::thread& t : callers) t.join();
  CHECK(sum == 4 * 100 * 49 * 50 / 2);
}

TEST_CASE("jobs in the background are done in their order, and after one that fails the others are dropped", "[engine][parallel]") {
  std::vector<int> done;  // by the thread of the background alone, until wait() has returned
  Background background;
  for (int i = 0; i < 100; ++i) background.add([&done, i] { done.push_back(i); });
  background.wait();
  REQUIRE(done.size() == 100);
  CHECK(std::is_sorted(done.begin(), done.end()));
  background.add([] { fail("no connection"); });
  for (int i = 0; i < 10; ++i) background.add([&done] { done.push_back(-1); });
  CHECK_THROWS_WITH(background.wait(), "no connection");
  background.add([&done] { done.push_back(7); });
  background.wait();
  CHECK(done.back() == 7);
  CHECK(done.size() == 101);
}
