// Streams, events and captures of the simulated CUDA device, and that it finds wrong uses of them: each check is shown by a program with
// that error.
#include "tests/support/catch.h"

#include "tests/support/simulated_device.h"

using namespace dura;
using namespace dura::cuda;
using test::TestDevice;

namespace {

__global__ void multiply_add_kernel(int* x, int factor, int summand, int64_t count) {
  const int64_t i = thread_index();
  if (i < count) x[i] = x[i] * factor + summand;
}

constexpr int64_t count = 100;

void multiply_add(TestDevice& d, Stream s, int* x, int factor, int summand) {
  launch(d.driver, s, "multiply_add", multiply_add_kernel, grid_over(count), x, factor, summand, count);
}

// One stream writes x, another works on it and copies the result to the host; `with_event` says that the second waits for the first.
int two_streams(uint64_t seed, bool with_event) {
  TestDevice d(seed);
  const Stream second = d.driver.create_stream();
  const Event written = d.driver.create_event(), done = d.driver.create_event();
  int* x = d.tensor(std::vector<int>(count, 1), "x");
  d.driver.synchronize(d.stream);
  multiply_add(d, d.stream, x, 10, 0);
  d.driver.record(written, d.stream);
  if (with_event) d.driver.wait(second, written);
  multiply_add(d, second, x, 1, 5);
  d.driver.record(done, second);
  d.driver.wait(d.stream, done);
  return d.read(x, count)[0];
}

Status status_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const DriverError& e) {
    return e.status();
  }
  FAIL("nothing was refused");
  return Status::invalid_value;
}

}  // namespace

TEST_CASE("a missing event gives a wrong result on some order of streams, and with the event none does", "[cuda-sim]") {
  bool noticed = false;
  for (uint64_t seed = 0; seed < 12; ++seed) {
    CHECK(two_streams(seed, true) == 15);
    noticed = noticed || two_streams(seed, false) != 15;
  }
  CHECK(noticed);
}

TEST_CASE("an event that was never recorded holds nobody up", "[cuda-sim]") {
  TestDevice d;
  const Event event = d.driver.create_event();
  d.driver.wait(d.stream, event);
  CHECK(d.read(d.tensor(std::vector<int>{7}, "x"), 1)[0] == 7);
  d.driver.synchronize(event);
  CHECK_THROWS_WITH(d.driver.record(Event{99}, d.stream), Catch::Contains("no event 99"));
  CHECK_THROWS_WITH(d.driver.synchronize(Stream{99}), Catch::Contains("no stream 99"));
}

TEST_CASE("an asynchronous copy to the device reads the host's memory when it runs", "[cuda-sim]") {
  TestDevice d;
  int* x = d.tensor<int>(1, "x");
  int unpinned = 1;
  int* pinned = static_cast<int*>(d.driver.allocate_pinned(sizeof(int)));
  *pinned = 3;
  d.driver.copy_to_device(x, &unpinned, sizeof(int), d.stream);
  unpinned = 2;  // too early: the copy has not run
  CHECK(d.read(x, 1)[0] == 2);
  d.driver.copy_to_device(x, pinned, sizeof(int), d.stream);
  *pinned = 4;
  CHECK(d.read(x, 1)[0] == 4);
  d.driver.copy_to_host(pinned, x, sizeof(int), d.stream);
  d.driver.synchronize(d.stream);
  CHECK(*pinned == 4);
  d.driver.release_pinned(pinned);
}

TEST_CASE("captured work runs when it is replayed, in the order of its streams and events", "[cuda-sim]") {
  for (uint64_t seed = 0; seed < 6; ++seed) {
    TestDevice d(seed);
    const Stream side = d.driver.create_stream();
    const Event fork = d.driver.create_event(), join = d.driver.create_event();
    int *x = d.tensor(std::vector<int>(count, 1), "x"), *y = d.tensor(std::vector<int>(count, 1), "y");
    d.driver.begin_capture(d.stream);
    multiply_add(d, d.stream, x, 2, 0);
    d.driver.record(fork, d.stream);
    d.driver.wait(side, fork);
    multiply_add(d, side, y, 3, 0);
    multiply_add(d, side, y, 1, 1);
    multiply_add(d, d.stream, x, 1, 1);
    d.driver.record(join, side);
    d.driver.wait(d.stream, join);
    d.driver.copy_on_device(y + 1, x, sizeof(int), d.stream);
    const CapturedWork work = d.driver.end_capture(d.stream);
    CHECK(d.read(x, 1)[0] == 1);  // nothing has run
    d.driver.replay(work, d.stream);
    d.driver.replay(work, d.stream);
    CHECK(d.read(x, 1)[0] == 7);
    CHECK(d.read(y, 3) == std::vector<int>{13, 7, 13});
    d.driver.release(work);
    CHECK(status_of([&] { d.driver.replay(work, d.stream); }) == Status::invalid_value);
  }
}

TEST_CASE("what a capturing stream forbids fails with CUDA's error numbers and ends the capture", "[cuda-sim]") {
  TestDevice d;
  int* x = d.tensor(std::vector<int>(count, 1), "x");
  const Stream other = d.driver.create_stream();
  const Event outside = d.driver.create_event(), inside = d.driver.create_event();
  d.driver.record(outside, other);
  int host = 0;
  const auto forbidden = [&](Status expected, const std::function<void()>& call) {
    d.driver.begin_capture(d.stream);
    multiply_add(d, d.stream, x, 1, 1);
    CHECK(status_of(call) == expected);
    CHECK(status_of([&] { multiply_add(d, d.stream, x, 1, 1); }) == Status::capture_invalidated);
    CHECK(status_of([&] { d.driver.end_capture(d.stream); }) == Status::capture_invalidated);
  };
  forbidden(Status::capture_unsupported, [&] { d.driver.allocate(64); });
  forbidden(Status::capture_unsupported, [&] { d.driver.allocate_pinned(64); });
  forbidden(Status::capture_unsupported, [&] { d.driver.synchronize(d.stream); });
  forbidden(Status::capture_unsupported, [&] { d.driver.copy_to_device(x, &host, sizeof host, d.stream); });
  forbidden(Status::capture_unsupported, [&] { d.driver.copy_to_host(&host, x, sizeof host, d.stream); });
  forbidden(Status::capture_implicit, [&] { multiply_add(d, legacy_stream, x, 1, 1); });
  forbidden(Status::capture_isolation, [&] { d.driver.wait(d.stream, outside); });
  static_assert(static_cast<int>(Status::capture_unsupported) == 900 && static_cast<int>(Status::capture_implicit) == 906);

  // A stream that was drawn into the capture and is not joined again.
  d.driver.begin_capture(d.stream);
  multiply_add(d, d.stream, x, 1, 1);
  d.driver.record(inside, d.stream);
  d.driver.wait(other, inside);
  multiply_add(d, other, x, 1, 1);
  CHECK(status_of([&] { d.driver.end_capture(d.stream); }) == Status::capture_unjoined);
  CHECK(status_of([&] { d.driver.synchronize(inside); }) == Status::captured_event);
  CHECK(status_of([&] { d.driver.end_capture(d.stream); }) == Status::capture_unmatched);
  CHECK(d.read(x, 1)[0] == 1);  // nothing of all this has run
}

TEST_CASE("the legacy stream waits for all others", "[cuda-sim]") {
  for (uint64_t seed = 0; seed < 4; ++seed) {
    TestDevice d(seed);
    int* x = d.tensor(std::vector<int>(count, 1), "x");
    multiply_add(d, d.stream, x, 10, 0);
    multiply_add(d, legacy_stream, x, 1, 5);
    CHECK(d.read(x, 1)[0] == 15);
  }
}
