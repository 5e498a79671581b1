// Results depend on shapes alone, never on the number of threads.
#include "tests/support/catch.h"

#include <atomic>
#include <mutex>
#include <set>
#include <thread>

#include "engine/base/parallel.h"
#include "tests/engine/op_harness.h"

using namespace dura;
using namespace dura::optest;

namespace {

// While alive, loops use this many threads.
class Threads {
 public:
  explicit Threads(int n) : before_(num_threads()) { set_num_threads(n); }
  ~Threads() { set_num_threads(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_;
};

}  // namespace

TEST_CASE("several threads do take part", "[parallel]") {
  const Threads t(3);
  std::mutex mutex;
  std::set<std::thread::id> who;
  // Tasks wait for each other: they can only end if three threads run them.
  std::atomic<int> arrived{0};
  parallel_for(3, [&](int64_t) {
    ++arrived;
    while (arrived < 3) std::this_thread::yield();
    const std::lock_guard lock(mutex);
    who.insert(std::this_thread::get_id());
  });
  CHECK(who.size() == 3);
}

TEST_CASE("every op gives the same bits for any number of threads", "[parallel][ops]") {
  for (const Column& column : columns())
    for (const OpCase& c : op_cases()) {
      const Drawn drawn = draw(c, column.dtype);
      const auto with = [&](int threads) {
        const Threads t(threads);
        return run(c, column, drawn);
      };
      const Run one = with(1), two = with(2), five = with(5);
      INFO(c.name << " " << column.name());
      CHECK((one.y.v == two.y.v && one.y.v == five.y.v));
      for (size_t i = 0; i < one.gradients.size(); ++i)
        CHECK((one.gradients[i].v == two.gradients[i].v && one.gradients[i].v == five.gradients[i].v));
    }
}

TEST_CASE("large convolutions give the same bits for any number of threads", "[parallel][ops]") {
  for (const Column& column : columns()) {
    if (column.dtype != DType::f32) continue;
    for (size_t i : {size_t{0}, size_t{2}, size_t{7}, size_t{12}}) {
      const OpCase& c = resnet_shapes().at(i);
      const Drawn drawn = draw(c, column.dtype);
      const auto with = [&](int threads) {
        const Threads t(threads);
        return run(c, column, drawn);
      };
      const Run one = with(1), three = with(3);
      INFO(c.name << " " << column.name());
      CHECK(one.y.v == three.y.v);
      for (size_t k = 0; k < 2; ++k) CHECK(one.gradients[k].v == three.gradients[k].v);
    }
  }
}
