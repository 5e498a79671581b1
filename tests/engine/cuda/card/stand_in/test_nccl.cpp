// Sums over ranks' cards on a stand-in for NCCL: this process is rank 0 with a card, the other ranks are threads that add in the host's
// memory, by the same messages.
#include "tests/support/catch.h"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <thread>

#include "tests/support/simulated_ranks.h"
#include "engine/core/backend.h"
#include "engine/devices/cuda_devices.h"
#include "engine/devices/device_sum.h"
#include "tests/engine/cuda/card/stand_in/faultless.h"
#include "tests/engine/cuda/card/stand_in/stand_in.h"
#include "tests/support/log_lines.h"

using namespace dura;
using Catch::Contains;
using test::LogLines;
namespace stand_in = cuda::stand_in;

namespace {

// Of very different sizes: the order of additions shows.
float value(int64_t rank, int64_t i) {
  return static_cast<float>((rank % 3 == 1 ? -1.0 : 1.0) * (1.0 + static_cast<double>(i) / 7) *
                            std::pow(10.0, static_cast<double>((rank * 5 + i) % 7 - 3)));
}
std::vector<float> values(int64_t rank, int64_t count) {
  std::vector<float> all;
  for (int64_t i = 0; i < count; ++i) all.push_back(value(rank, i));
  return all;
}

// What another rank says while cards are linked; false where it hears that they are not.
bool link_as_another(Communicator& c, const std::string& card) {
  const auto all_are_well = [&] {
    const std::vector<std::string> reasons = c.gather("");
    return std::all_of(reasons.begin(), reasons.end(), [](const std::string& r) { return r.empty(); });
  };
  if (!all_are_well()) return false;
  const std::vector<std::string> cards = c.gather(card);
  if (std::set<std::string>(cards.begin(), cards.end()).size() < cards.size()) return false;
  if (!all_are_well()) return false;
  std::array<std::byte, 128> number{};
  c.broadcast(number);
  return all_are_well();
}

// The other ranks of a job: each links its card and adds `count` numbers, `sums` times. Their errors are not of interest.
struct Job {
  Job(int64_t size, int64_t count, int64_t sums, const SimulatedOptions& options = {.timeout_s = 20}, const char* cards = "abcdefg")
      : ranks(size, options), found(static_cast<size_t>(size)) {
    stand_in::ranks() = &ranks.rank(0);
    for (int64_t r = 1; r < size; ++r)
      threads.emplace_back([this, r, count, sums, cards] {
        try {
          if (!link_as_another(ranks.rank(r), std::string(16, cards[r - 1]))) return;
          std::vector<float>& own = found[static_cast<size_t>(r)];
          for (int64_t i = 0; i < sums; ++i) {
            own = values(r, count);
            ranks.rank(r).all_reduce(std::span(own));
          }
        } catch (const Error&) {
        }
      });
  }
  ~Job() {
    for (std::thread& t : threads) t.join();
    stand_in::ranks() = nullptr;
    stand_in::event_stalls() = 0, stand_in::nccl_late_error() = 0, stand_in::nccl_questions() = 0;
  }
  Communicator& own() { return ranks.rank(0); }

  SimulatedRanks ranks;
  std::vector<std::vector<float>> found;
  std::vector<std::thread> threads;
};

Tensor on_card(int64_t count) {
  const Tensor t = Tensor::empty({count}, DType::f32, Device::cuda);
  backend(Device::cuda).upload(values(0, count).data(), t);
  return t;
}

std::vector<float> sum_in_host_memory(int64_t ranks, int64_t count) {
  std::vector<std::vector<float>> all;
  for (int64_t r = 0; r < ranks; ++r) all.push_back(values(r, count));
  for (int64_t step = 1; step < ranks; step *= 2)
    for (int64_t r = 0; r < ranks; r += 2 * step)
      for (size_t i = 0; i < static_cast<size_t>(count); ++i) all[static_cast<size_t>(r)][i] += all[static_cast<size_t>(r + step)][i];
  return all[0];
}

std::vector<float> downloaded(const Tensor& t) {
  std::vector<float> all(static_cast<size_t>(t.numel()));
  backend(t.device()).download(t, all.data());
  return all;
}

}  // namespace

TEST_CASE("cards add over ranks in the order of the tree, the same bytes as host memory", "[card]") {
  const stand_in::Faultless faultless;
  for (const int64_t ranks : {2, 4, 8})
    for (const int64_t count : {1, 2, 7, 1000}) {
      CAPTURE(ranks, count);
      Job job(ranks, count, 2);
      const std::unique_ptr<DeviceSum> sum = DeviceSum::of(Device::cuda, job.own(), count, true);
      REQUIRE(sum);
      const int64_t before = job.own().bytes_sent();
      for (int i = 0; i < 2; ++i) {
        const Tensor x = on_card(count);
        sum->add(x);
        sum->wait();
        CHECK(downloaded(x) == sum_in_host_memory(ranks, count));
      }
      CHECK(job.own().bytes_sent() - before == 2 * sum->bytes());
      for (std::thread& t : job.threads) t.join();
      job.threads.clear();
      for (size_t r = 1; r < job.found.size(); ++r) CHECK(job.found[r] == sum_in_host_memory(ranks, count));
    }
  CHECK(stand_in::alive()["NCCL link"] == 0);
}

TEST_CASE("cards whose order is not asked for add by one call of NCCL", "[card]") {
  const stand_in::Faultless faultless;
  const LogLines said;
  Job job(2, 100, 1);
  const std::unique_ptr<DeviceSum> sum = DeviceSum::of(Device::cuda, job.own(), 100, false);
  REQUIRE(sum);
  const Tensor x = on_card(100);
  sum->add(x);
  sum->wait();
  CHECK(downloaded(x) == sum_in_host_memory(2, 100));  // of two numbers there is one order
  REQUIRE(said.lines.size() == 2);
  CHECK_THAT(said.lines[0], Contains("2 cards are linked by NCCL 2.28.9"));
  CHECK_THAT(said.lines[1], Contains("the bytes of this run depend on the number of processes"));
}

TEST_CASE("cards that cannot be linked are told to all ranks with the reason, and there is no sum", "[card]") {
  const stand_in::Faultless faultless;
  const auto said_with = [](const char* cards) {
    const LogLines said;
    Job job(4, 1, 0, {.timeout_s = 20}, cards);
    CHECK(DeviceSum::of(Device::cuda, job.own(), 10, true) == nullptr);
    REQUIRE(said.lines.size() == 1);
    return said.lines[0];
  };
  CHECK_THAT(said_with("aba"), Contains("rank 1 and rank 3 have the same card") && Contains("host memory"));
  CHECK_THAT(said_with("auc"), Contains("rank 0 and rank 2 have the same card"));  // the stand-in's own is u
  CHECK(stand_in::alive()["NCCL link"] == 0);
}

TEST_CASE("a rank that is lost ends a sum over cards with a message that says so", "[card]") {
  const stand_in::Faultless faultless;
  const LogLines said;
  struct Row {
    int64_t stalls;
    int late_error;
    double timeout_s;
    const char* message;
  };
  for (const Row& row : {Row{-1, 6, 2, "NCCL lost another rank: remote process exited (6): as a test wants it"},
                         Row{-1, 0, 2, "not done after 2 s. This rank exchanges with rank 1; one of them, or one behind it, hangs"}}) {
    Job job(2, 10, 1, {.timeout_s = row.timeout_s});
    const std::unique_ptr<DeviceSum> sum = DeviceSum::of(Device::cuda, job.own(), 10, true);
    REQUIRE(sum);
    const Tensor x = on_card(10);
    sum->add(x);
    stand_in::event_stalls() = row.stalls, stand_in::nccl_late_error() = row.late_error;
    CHECK_THROWS_WITH(sum->wait(), Contains("rank 0") && Contains(row.message));
    CHECK_THROWS_WITH(sum->add(x), Contains("the link to the other ranks' cards was lost before"));
    CHECK(stand_in::alive()["NCCL link"] == 0);
    stand_in::event_stalls() = 0;
    CHECK(downloaded(x) == values(0, 10));  // nothing hangs, and the sum is not made
  }
  // A moment's delay is nothing.
  Job job(2, 10, 1);
  const std::unique_ptr<DeviceSum> sum = DeviceSum::of(Device::cuda, job.own(), 10, true);
  const Tensor x = on_card(10);
  sum->add(x);
  stand_in::event_stalls() = 300;
  sum->wait();
  CHECK(downloaded(x) == sum_in_host_memory(2, 10));
}

TEST_CASE("NCCL may take its time in the background, and nothing is put behind what it has not begun", "[card]") {
  const stand_in::Faultless faultless;
  stand_in::nccl_questions() = 5;
  for (const bool exact : {true, false}) {
    CAPTURE(exact);
    Job job(2, 100, 2);
    const std::unique_ptr<DeviceSum> sum = DeviceSum::of(Device::cuda, job.own(), 100, exact);
    REQUIRE(sum);
    for (int i = 0; i < 2; ++i) {
      const Tensor x = on_card(100);
      sum->add(x);
      sum->wait();
      CHECK(downloaded(x) == sum_in_host_memory(2, 100));
    }
    stand_in::nccl_questions() = 5;
  }
}

TEST_CASE("NCCL that never links the cards, or never begins what it is told, is given up with a message that says so", "[card]") {
  const stand_in::Faultless faultless;
  {
    const LogLines said;
    Job job(2, 1, 0, {.timeout_s = 4});
    stand_in::nccl_questions() = -1;
    CHECK(DeviceSum::of(Device::cuda, job.own(), 10, true) == nullptr);
    REQUIRE(said.lines.size() == 1);
    CHECK_THAT(said.lines[0], Contains("rank 0: NCCL has not linked the cards in 2 s") && Contains("host memory"));
  }
  Job job(2, 10, 1, {.timeout_s = 1});
  const std::unique_ptr<DeviceSum> sum = DeviceSum::of(Device::cuda, job.own(), 10, true);
  REQUIRE(sum);
  const Tensor x = on_card(10);
  stand_in::nccl_questions() = -1;
  CHECK_THROWS_WITH(sum->add(x), Contains("rank 0") && Contains("an exchange with rank 1 was not done after 1 s"));
  CHECK(stand_in::alive()["NCCL link"] == 0);
  CHECK(downloaded(x) == values(0, 10));
}

TEST_CASE("a link is ended together with the other ranks, and alone where they do not come to its end", "[card]") {
  const stand_in::Faultless faultless;
  for (const int64_t questions : {0, 5, -1}) {
    Job job(2, 10, 0, {.timeout_s = 1});
    std::unique_ptr<DeviceSum> sum = DeviceSum::of(Device::cuda, job.own(), 10, true);
    REQUIRE(sum);
    stand_in::nccl_questions() = questions;
    sum.reset();
    CHECK(stand_in::alive()["NCCL link"] == 0);
  }
}

TEST_CASE("whichever call fails while cards are linked and add, there is one message or no link, and nothing is left behind", "[card]") {
  const LogLines said;
  // The other rank waits so long for one that has failed.
  const auto round = [](double timeout_s) {
    Job job(2, 10, 1, {.timeout_s = timeout_s});
    const std::unique_ptr<DeviceSum> sum = DeviceSum::of(Device::cuda, job.own(), 10, true);
    if (!sum) return false;
    const Tensor x = on_card(10);
    sum->add(x);
    stand_in::event_stalls() = 1;  // so that errors are asked for
    sum->wait();
    const std::vector<float> found = downloaded(x);  // a CHECK would keep its error
    CHECK(found == sum_in_host_memory(2, 10));
    return true;
  };
  for (int i = 0; i < 3; ++i) CHECK(round(20));  // uploads take memory once, for each of their two slots
  stand_in::complaints().clear();
  stand_in::fail_at(0);
  CHECK(round(20));
  const int64_t calls = stand_in::calls();
  CHECK(calls > 15);
  CHECK(stand_in::complaints().empty());
  const int64_t events = stand_in::alive()["event"];
  std::set<std::string> failed;
  for (int64_t n = 1; n <= calls; ++n) {
    stand_in::fail_at(n);
    std::string message;
    bool linked = true;
    try {
      linked = round(1);
    } catch (const Error& e) {
      message = e.what();
      CHECK_FALSE(message.empty());
    }
    const std::string call = stand_in::failed();
    failed.insert(call);
    stand_in::fail_at(0), stand_in::repair(), cudaGetLastError();
    INFO("call " << n << ", " << call << ": " << message);
    // What ends something says nothing.
    const bool ends = call.find("Destroy") != std::string::npos || call.find("Free") != std::string::npos || call == "ncclCommFinalize";
    CHECK((!linked || !message.empty() || ends));
    if (call.find("Destroy") == std::string::npos) CHECK(stand_in::alive()["event"] == events);
    stand_in::alive()["event"] = events;
    CHECK(stand_in::alive()["NCCL link"] == 0);
  }
  for (const char* call : {"ncclGetUniqueId", "ncclCommInitRankConfig", "ncclGroupStart", "ncclSend", "ncclRecv", "ncclGroupEnd",
                           "ncclCommGetAsyncError", "ncclCommFinalize", "cudaEventQuery", "cudaEventCreateWithFlags"})
    CHECK(failed.count(call) == 1);
  CHECK(round(20));
  stand_in::complaints().clear();
}
