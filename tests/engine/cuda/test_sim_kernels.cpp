// The simulated CUDA device runs kernels as a card does, and finds what goes wrong in them: each check is shown by a program with that
// error.
#include "tests/support/catch.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <vector>

#include "tests/support/simulated_device.h"

using namespace dura;
using namespace dura::cuda;
using test::TestDevice;

namespace {

constexpr int64_t blocks = 5;
constexpr int threads = 64;
constexpr int64_t count = blocks * threads;

// Each block turns its stretch around by way of shared memory.
template <bool with_barrier>
__global__ void reverse_kernel(const int* x, int* y) {
  __shared__ int stretch[threads];
  stretch[threadIdx.x] = x[thread_index()];
  if (with_barrier) __syncthreads();
  y[thread_index()] = stretch[threads - 1 - threadIdx.x];
}

__global__ void lonely_barrier_kernel(int* y) {
  if (threadIdx.x < 7) return;
  __syncthreads();
  y[thread_index()] = 1;
}

// Every block adds to one place, and none waits for another.
__global__ void racing_kernel(int* y) {
  if (threadIdx.x == 0) y[0] = y[0] * 3 + static_cast<int>(blockIdx.x);
}

__global__ void sum_kernel(const double* x, double* sums) {
  const double sum = block_sum(x[thread_index()]);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

__global__ void shuffle_kernel(int* y) {
  const int lane = static_cast<int>(threadIdx.x % 32), from_next = __shfl_down_sync(0xffffffffu, lane, 1u),
            from_other = __shfl_xor_sync(0xffffffffu, lane, 5), from_three = __shfl_sync(0xffffffffu, lane, 3);
  y[thread_index()] = 10000 * from_next + 100 * from_other + from_three;
}

__global__ void wide_kernel(const float* x, float* y) { write_pack(y, read_pack<4>(x)); }

template <bool with_barrier>
std::vector<int> reversed(uint64_t seed) {
  TestDevice d(seed);
  std::vector<int> host(count);
  std::iota(host.begin(), host.end(), 100);
  int *x = d.tensor(host, "x"), *y = d.tensor<int>(count, "y");
  launch(d.driver, d.stream, "reverse", reverse_kernel<with_barrier>, {.blocks = blocks, .threads = threads, .barriers = true}, x, y);
  return d.read(y, count);
}

}  // namespace

TEST_CASE("a missing barrier gives a wrong result on some order of threads, and the right kernel never does", "[cuda-sim]") {
  std::vector<int> expected(count);
  for (int64_t b = 0; b < blocks; ++b)
    for (int64_t t = 0; t < threads; ++t)
      expected[static_cast<size_t>(b * threads + t)] = static_cast<int>(100 + b * threads + threads - 1 - t);
  bool noticed = false;
  for (uint64_t seed = 0; seed < 6; ++seed) {
    CHECK(reversed<true>(seed) == expected);
    noticed = noticed || reversed<false>(seed) != expected;
  }
  CHECK(noticed);
}

TEST_CASE("a barrier that some threads of the block never reach is an error that names the kernel", "[cuda-sim]") {
  TestDevice d;
  int* y = d.tensor<int>(threads, "y");
  launch(d.driver, d.stream, "lonely_barrier", lonely_barrier_kernel, {.blocks = 1, .threads = threads, .barriers = true}, y);
  CHECK_THROWS_WITH(d.driver.synchronize(d.stream), Catch::Contains("lonely_barrier") && Catch::Contains("7 of 64"));
}

TEST_CASE("a barrier in a kernel that was launched as one without is an error", "[cuda-sim]") {
  TestDevice d;
  int* y = d.tensor<int>(threads, "y");
  launch(d.driver, d.stream, "lonely_barrier", lonely_barrier_kernel, {.blocks = 1, .threads = threads}, y);
  CHECK_THROWS_WITH(d.driver.synchronize(d.stream), Catch::Contains("without `barriers`"));
}

TEST_CASE("several elements at once are read and written where a card can, and elsewhere it is an error that names the kernel",
          "[cuda-sim]") {
  TestDevice d;
  float *x = d.tensor(std::vector<float>{1, 2, 3, 4, 5}, "x"), *y = d.tensor(std::vector<float>(5), "y");
  const auto copy = [&](const float* from, float* to) {
    launch(d.driver, d.stream, "wide", wide_kernel, {.blocks = 1, .threads = 1}, from, to);
    return d.read(y, 5);
  };
  CHECK(copy(x, y) == std::vector<float>{1, 2, 3, 4, 0});
  CHECK_THROWS_WITH(copy(x + 1, y), Catch::Contains("kernel wide: 16 bytes") && Catch::Contains("716"));
  CHECK_THROWS_WITH(copy(x, y + 1), Catch::Contains("kernel wide: 16 bytes") && Catch::Contains("cudaErrorMisalignedAddress"));
  // What was queued behind the error never runs; what comes after it does.
  const Event behind = d.driver.create_event();
  launch(d.driver, d.stream, "wide", wide_kernel, {.blocks = 1, .threads = 1}, static_cast<const float*>(x + 1), y);
  launch(d.driver, d.stream, "wide", wide_kernel, {.blocks = 1, .threads = 1}, static_cast<const float*>(y), x);
  d.driver.record(behind, d.stream);
  CHECK_THROWS_WITH(d.driver.synchronize(behind), Catch::Contains("716"));
  d.driver.synchronize(behind);
  CHECK(d.read(x, 5) == std::vector<float>{1, 2, 3, 4, 5});
}

TEST_CASE("blocks that depend on each other's order give different results on different seeds", "[cuda-sim]") {
  std::vector<int> results;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    TestDevice d(seed);
    int* y = d.tensor(std::vector<int>{0}, "y");
    launch(d.driver, d.stream, "racing", racing_kernel, {.blocks = 9, .threads = 2}, y);
    results.push_back(d.read(y, 1)[0]);
  }
  CHECK(std::adjacent_find(results.begin(), results.end(), std::not_equal_to<>()) != results.end());
}

TEST_CASE("the sum over a block is the same for every order of threads", "[cuda-sim]") {
  std::vector<double> host(count);
  for (size_t i = 0; i < host.size(); ++i) host[i] = 1.0 / static_cast<double>(i + 3);
  std::vector<std::vector<double>> results;
  for (uint64_t seed = 0; seed < 5; ++seed) {
    TestDevice d(seed);
    double *x = d.tensor(host, "x"), *sums = d.tensor<double>(blocks, "sums");
    launch(d.driver, d.stream, "sum", sum_kernel, {.blocks = blocks, .threads = threads, .barriers = true}, x, sums);
    results.push_back(d.read(sums, blocks));
    CHECK(results.back() == results.front());
  }
  for (size_t b = 0; b < blocks; ++b)
    CHECK(results[0][b] == Approx(std::accumulate(host.begin() + static_cast<int64_t>(b) * threads,
                                                  host.begin() + static_cast<int64_t>(b + 1) * threads, 0.0)));
}

TEST_CASE("shuffles read the lane they name, and their own where there is none", "[cuda-sim]") {
  for (uint64_t seed = 0; seed < 4; ++seed) {
    TestDevice d(seed);
    int* y = d.tensor<int>(threads, "y");
    launch(d.driver, d.stream, "shuffle", shuffle_kernel, {.blocks = 1, .threads = threads, .barriers = true}, y);
    const std::vector<int> found = d.read(y, threads);
    for (int t = 0; t < threads; ++t) {
      const int lane = t % 32;
      REQUIRE(found[static_cast<size_t>(t)] == 10000 * (lane == 31 ? 31 : lane + 1) + 100 * (lane ^ 5) + 3);
    }
  }
}

TEST_CASE("a launch beyond a card's limits is refused", "[cuda-sim]") {
  TestDevice d;
  int* y = d.tensor<int>(1, "y");
  CHECK_THROWS_WITH(launch(d.driver, d.stream, "racing", racing_kernel, {.blocks = 1, .threads = 2048}, y),
                    Catch::Contains("racing") && Catch::Contains("2048") && Catch::Contains("cudaErrorInvalidValue"));
}
