// Many threads on one model of the C interface, and one that opens and closes models of its own beside them. For a build with
// ThreadSanitizer (-DCMAKE_CXX_FLAGS=-fsanitize=thread); in every other it checks the bits.
//   usage: c_threads THREADS SECONDS
#include <atomic>
#include <chrono>
#include <thread>

#include "tests/programs/c_model.h"

namespace {

using namespace dura;
using Clock = std::chrono::steady_clock;

struct Work {
  const test::CModel& material;
  dura_model* model;
  std::vector<double> predicted = {}, explained = {};
  Clock::time_point end = {};
  std::atomic<int64_t> calls{0}, wrong{0};

  void check(dura_call* call, dura_status status, const std::vector<double>& expected) {
    ++calls;
    if (status == DURA_OK && test::answered(call) == expected) return;
    if (wrong++ == 0) std::fprintf(stderr, "a thread has another answer: status %d %s\n", static_cast<int>(status), dura_message(call));
  }
  void use(int thread) {
    dura_call* call = dura_call_new();
    const dura_picture encoded = material.encoded(), pixels = material.in_memory();
    for (int i = thread; Clock::now() < end; ++i) {
      if (i % 4 == 3)
        check(call, dura_explain(call, model, &pixels, nullptr), explained);
      else
        check(call, dura_predict(call, model, i % 2 ? &encoded : &pixels, 1), predicted);
      const dura_picture wrong_picture = {};
      if (i % 16 == 5 && dura_predict(call, model, &wrong_picture, 1) == DURA_OK) ++wrong;
    }
    dura_call_free(call);
  }
  void open_and_close() {
    dura_call* call = dura_call_new();
    const dura_picture pixels = material.in_memory();
    while (Clock::now() < end) {
      dura_model* own = dura_open_memory(call, material.bytes.data(), material.bytes.size(), nullptr);
      check(call, own ? dura_predict(call, own, &pixels, 1) : dura_call_status(call), predicted);
      dura_close(own);
    }
    dura_call_free(call);
  }
};

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 8, seconds = argc > 2 ? std::atoi(argv[2]) : 1;
  const test::CModel material;
  dura_call* call = dura_call_new();
  dura_model* model = dura_open_memory(call, material.bytes.data(), material.bytes.size(), nullptr);
  const dura_picture pixels = material.in_memory();
  Work work{.material = material, .model = model};
  if (!model || dura_predict(call, model, &pixels, 1) != DURA_OK) return std::fprintf(stderr, "%s\n", dura_message(call)), 1;
  work.predicted = test::answered(call);
  if (dura_explain(call, model, &pixels, nullptr) != DURA_OK) return std::fprintf(stderr, "%s\n", dura_message(call)), 1;
  work.explained = test::answered(call);
  dura_close(model);

  // Opened anew, so that the threads meet the first uses, too.
  work.model = model = dura_open_memory(call, material.bytes.data(), material.bytes.size(), nullptr);
  work.end = Clock::now() + std::chrono::seconds(seconds);
  std::vector<std::thread> all;
  for (int t = 0; t + 1 < threads; ++t) all.emplace_back([&work, t] { work.use(t); });
  all.emplace_back([&work] { work.open_and_close(); });
  for (std::thread& t : all) t.join();
  dura_close(model);
  dura_call_free(call);
  std::printf("%d threads, %d s: %lld calls, %lld wrong\n", threads, seconds, static_cast<long long>(work.calls),
              static_cast<long long>(work.wrong));
  return work.wrong == 0 && work.calls > threads ? 0 : 1;
}
