// Uploads of the CUDA backend travel on a stream of their own and still arrive in order, whichever order the device takes.
#include "tests/catch.h"

#include <algorithm>
#include <numeric>

#include "engine/cuda/cuda_devices.h"
#include "engine/cuda/staging.h"
#include "tests/simulated_device.h"

using namespace dura;
using namespace dura::cuda;

namespace {

__global__ void add_to_kernel(const int* x, int* sum, int64_t count) {
  const int64_t i = thread_index();
  if (i < count) sum[i] += x[i];
}

sim::SimDriver& simulator() { return static_cast<sim::SimDriver&>(driver_of(Device::cuda_sim)); }

}  // namespace

TEST_CASE("batches uploaded while earlier ones are computed on are each used once, in order", "[cuda-sim]") {
  constexpr int64_t count = 1000;
  Backend& b = backend(Device::cuda_sim);
  for (uint64_t seed = 0; seed < 8; ++seed) {
    simulator().set_seed(seed);
    const Tensor x = Tensor::zeros({count}, DType::i32, Device::cuda_sim, "batch"),
                 sum = Tensor::zeros({count}, DType::i32, Device::cuda_sim, "sum");
    std::vector<int32_t> batch(count), expected(count, 0), found(count);
    for (int round = 0; round < 7; ++round) {
      std::iota(batch.begin(), batch.end(), 100 * round);
      for (size_t i = 0; i < count; ++i) expected[i] += batch[i];
      b.upload(batch.data(), x);
      std::fill(batch.begin(), batch.end(), -1);  // the caller may use its memory again
      launch(driver_of(Device::cuda_sim), compute_stream(Device::cuda_sim), "add_to", add_to_kernel, grid_over(count),
             static_cast<const int*>(x.raw()), static_cast<int*>(sum.raw()), count);
    }
    b.download(sum, found.data());
    CHECK(found == expected);
  }
  simulator().set_seed(0);
}

TEST_CASE("an upload that is larger than a staging slot arrives too", "[cuda-sim]") {
  const auto count = static_cast<int64_t>(Staging::slot_bytes / sizeof(int32_t)) + 3;
  std::vector<int32_t> host(static_cast<size_t>(count)), found(host.size());
  std::iota(host.begin(), host.end(), 5);
  const Tensor x = Tensor::empty({count}, DType::i32, Device::cuda_sim);
  backend(Device::cuda_sim).upload(host.data(), x);
  backend(Device::cuda_sim).download(x, found.data());
  CHECK(found == host);
}

TEST_CASE("an upload inside of a capture is refused, and staging works on after it", "[cuda-sim]") {
  const Tensor x = Tensor::zeros({4}, DType::i32, Device::cuda_sim);
  const int32_t host[4] = {1, 2, 3, 4};
  backend(Device::cuda_sim).upload(host, x);
  Driver& d = driver_of(Device::cuda_sim);
  const Stream s = compute_stream(Device::cuda_sim);
  d.begin_capture(s);
  CHECK_THROWS_AS(backend(Device::cuda_sim).upload(host, x), DriverError);
  CHECK_THROWS_AS(d.end_capture(s), DriverError);
  for (int i = 0; i < 3; ++i) backend(Device::cuda_sim).upload(host, x);
  int32_t found[4] = {};
  backend(Device::cuda_sim).download(x, found);
  CHECK(found[3] == 4);
}
