// Sums, broadcast and gather over ranks that are threads: the order of sums, the bytes that are sent, late and lost messages.
#include "tests/support/catch.h"

#include <array>
#include <cmath>
#include <memory>
#include <mutex>

#include "engine/base/check.h"
#include "tests/support/ranks.h"

using namespace dura;
using namespace dura::test;
using Catch::Contains;

namespace {

const SimulatedOptions late = {.seed = 3, .longest_delay_us = 300};

// Of very different sizes: the order of additions shows.
template <class T>
T value(int64_t rank, int64_t i) {
  return static_cast<T>((rank % 3 == 1 ? -1.0 : 1.0) * (1.0 + static_cast<double>(i) / 7) *
                        std::pow(10.0, static_cast<double>((rank * 5 + i) % 7 - 3)));
}

// The definition: the sum of a block of ranks is that of its halves.
template <class T>
T block_sum(int64_t first, int64_t count, int64_t i) {
  if (count == 1) return value<T>(first, i);
  return block_sum<T>(first, count / 2, i) + block_sum<T>(first + count / 2, count / 2, i);
}

template <class T>
void check_sums(int64_t ranks, int64_t elements) {
  std::vector<std::vector<T>> results(static_cast<size_t>(ranks));
  std::vector<int64_t> sent(results.size()), predicted(results.size());
  const std::vector<std::string> errors = on_ranks(ranks, late, [&](Communicator& c) {
    const auto r = static_cast<size_t>(c.rank());
    for (int64_t i = 0; i < elements; ++i) results[r].push_back(value<T>(c.rank(), i));
    c.all_reduce(std::span(results[r]));
    sent[r] = c.bytes_sent();
    predicted[r] = c.all_reduce_bytes(elements, sizeof(T));
  });
  for (size_t r = 0; r < results.size(); ++r) {
    CAPTURE(ranks, elements, r);
    CHECK(errors[r].empty());
    for (int64_t i = 0; i < elements; ++i) CHECK(results[r][static_cast<size_t>(i)] == block_sum<T>(0, ranks, i));
    CHECK(sent[r] == predicted[r]);
    // 2(P-1)/P of the array, up to the rounding of halves.
    const double share = 2.0 * static_cast<double>(ranks - 1) / static_cast<double>(ranks) * static_cast<double>(elements);
    CHECK(std::abs(static_cast<double>(sent[r]) / sizeof(T) - share) < 2 * std::log2(static_cast<double>(ranks)) + 1e-9);
  }
}

}  // namespace

TEST_CASE("sums over ranks are one binary tree on every rank, and send what is predicted", "[comm][lanes]") {
  for (const int64_t ranks : {1, 2, 4, 8})
    for (const int64_t elements : {0, 1, 2, 3, 7, 1000}) {
      check_sums<float>(ranks, elements);
      check_sums<double>(ranks, elements);
    }
}

TEST_CASE("broadcast, gather and the largest value, for any number of ranks", "[comm]") {
  for (const int64_t ranks : {1, 2, 3, 5, 8}) {
    const std::vector<std::string> errors = on_ranks(ranks, late, [&](Communicator& c) {
      const std::string own(static_cast<size_t>(c.rank() * 3), static_cast<char>('a' + c.rank()));
      for (int round = 0; round < 3; ++round) {
        const std::string all = c.broadcast(c.is_first() ? "from the first" : "something else");
        DURA_CHECK(all == "from the first", "broadcast gave ", all);
        const std::vector<std::string> gathered = c.gather(own);
        for (int64_t r = 0; r < ranks; ++r)
          DURA_CHECK(gathered.at(static_cast<size_t>(r)) == std::string(static_cast<size_t>(r * 3), static_cast<char>('a' + r)),
                     "gather gave ", gathered.at(static_cast<size_t>(r)), " for rank ", r);
        const double largest = c.largest(static_cast<double>((c.rank() * 7) % 5));
        double expected = 0;
        for (int64_t r = 0; r < ranks; ++r) expected = std::max(expected, static_cast<double>((r * 7) % 5));
        DURA_CHECK(largest == expected, "the largest is ", largest);
        c.barrier();
      }
    });
    for (const std::string& e : errors) CHECK(e == "");
  }
}

TEST_CASE("a message can be waited for while something else is done", "[comm]") {
  const std::vector<std::string> errors = on_ranks(3, late, [](Communicator& c) {
    for (int64_t round = 0; round < 5; ++round) {
      if (!c.is_first()) {
        const int64_t own = 10 * c.rank() + round;
        c.send(0, std::as_bytes(std::span(&own, 1)));
        continue;
      }
      std::array<int64_t, 2> got{};
      std::vector<std::unique_ptr<Arrival>> arrivals;
      for (size_t r = 0; r < 2; ++r)
        arrivals.push_back(c.expect(static_cast<int64_t>(r) + 1, std::as_writable_bytes(std::span(&got[r], 1))));
      while (!arrivals[0]->here() || !arrivals[1]->here()) std::this_thread::yield();
      for (size_t r = 0; r < 2; ++r)
        DURA_CHECK(got[r] == 10 * (static_cast<int64_t>(r) + 1) + round && arrivals[r]->here(), "got ", got[r], " from rank ", r + 1);
    }
    c.barrier();
  });
  for (const std::string& e : errors) CHECK(e == "");
}

TEST_CASE("a rank that gives up ends what another of its threads is sending", "[comm]") {
  const std::vector<std::string> errors = on_ranks(2, {.timeout_s = 60}, [](Communicator& c) {
    if (!c.is_first()) return;
    std::exception_ptr error;
    std::thread sender([&] {
      std::vector<float> values(10);
      try {
        c.all_reduce(std::span(values));
      } catch (...) {
        error = std::current_exception();
      }
    });
    c.give_up();
    sender.join();
    if (error) std::rethrow_exception(error);
  });
  CHECK_THAT(errors[0], Contains("given up"));
}

TEST_CASE("a process that is alone sends nothing", "[comm]") {
  std::vector<float> values = {1, 2};
  alone().all_reduce(std::span(values));
  CHECK(values == std::vector<float>{1, 2});
  CHECK(alone().broadcast("x") == "x");
  CHECK(alone().gather("x") == std::vector<std::string>{"x"});
  CHECK(alone().largest(3) == 3);
  CHECK(alone().bytes_sent() == 0);
}

TEST_CASE("a lost rank ends all others with an error that names it and its host", "[comm]") {
  for (const int64_t lost : {0, 3}) {
    const std::vector<std::string> errors = on_ranks(4, {.timeout_s = 0.2, .lost_rank = lost, .lost_at = 11}, [](Communicator& c) {
      c.introduce(concat("node", c.rank()));
      std::vector<float> values(100, 1.0f);
      for (int step = 0; step < 100; ++step) c.all_reduce(std::span(values));
    });
    for (size_t r = 0; r < errors.size(); ++r) {
      CAPTURE(lost, r, errors[r]);
      CHECK_THAT(errors[r], Contains(concat("rank ", r, " on node", r)));
      CHECK_THAT(errors[r], Contains(r == static_cast<size_t>(lost) ? "is lost" : "has not answered for 0.2 s"));
    }
    // Who waited for the lost one itself says so.
    bool named = false;
    for (const std::string& e : errors)
      named = named || e.find(concat("rank ", lost, " on node", lost, " has not answered")) != std::string::npos;
    CHECK(named);
  }
}

TEST_CASE("ranks that do not do the same work are noticed", "[comm]") {
  const std::vector<std::string> errors = on_ranks(2, {.timeout_s = 0.2}, [](Communicator& c) {
    std::vector<float> values(c.is_first() ? 10 : 20, 1.0f);
    c.all_reduce(std::span(values));
  });
  for (const std::string& e : errors) CHECK_THAT(e, Contains("The ranks do not do the same work"));
}

TEST_CASE("sums over a number of ranks that is no power of two are refused", "[comm]") {
  for (const std::string& e : on_ranks(3, {}, [](Communicator& c) {
         std::vector<float> values(4);
         c.all_reduce(std::span(values));
       }))
    CHECK_THAT(e, Contains("a power of two is expected"));
}

TEST_CASE("parts of a row of things cover it once, in whole batches where they stay together", "[comm]") {
  for (const int64_t count : {0, 1, 5, 64, 67})
    for (const int64_t parts : {1, 2, 3, 8}) {
      int64_t next = 0, next_batch = 0;
      for (int64_t p = 0; p < parts; ++p) {
        const SharedWork work{.part = p, .parts = parts};
        const Stretch s = work.own(count), b = work.own_batches(count, 4);
        CHECK(s.begin == next);
        CHECK((s.size() == count / parts || s.size() == count / parts + 1));
        CHECK(b.begin == next_batch);
        CHECK((b.begin % 4 == 0 || b.begin == count));
        next = s.end, next_batch = b.end;
      }
      CHECK(next == count);
      CHECK(next_batch == count);
    }
}

TEST_CASE("what everybody found of shared work is in a row, by rank", "[comm]") {
  for (const int64_t ranks : {1, 3}) {
    const std::vector<std::string> errors = on_ranks(ranks, late, [](Communicator& c) {
      const SharedWork work = c.work();
      std::vector<double> own, expected;
      const Stretch s = work.own(5);
      for (int64_t i = s.begin; i < s.end; ++i) own.push_back(0.1 * static_cast<double>(i));
      for (int64_t i = 0; i < 5; ++i) expected.push_back(0.1 * static_cast<double>(i));
      DURA_CHECK(work.in_a_row(own) == expected, "something else is in the row");
    });
    for (const std::string& e : errors) CHECK(e == "");
  }
}
