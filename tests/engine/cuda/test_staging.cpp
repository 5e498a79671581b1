// Uploads of the CUDA backend travel on a stream of their own and still arrive in order, whichever order the device takes.
#include "tests/support/catch.h"

#include <algorithm>
#include <numeric>

#include "engine/devices/cuda_devices.h"
#include "engine/cuda/staging.h"
#include "tests/support/simulated_device.h"

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

TEST_CASE("uploads of growing sizes, and one larger than a staging slot can be, arrive whole", "[cuda-sim]") {
  Backend& b = backend(Device::cuda_sim);
  for (const size_t bytes : {size_t{12}, size_t{3} << 20, size_t{5} << 20, size_t{12}, Staging::largest_slot + 12}) {
    CAPTURE(bytes);
    const auto count = static_cast<int64_t>(bytes / sizeof(int32_t));
    std::vector<int32_t> host(static_cast<size_t>(count)), found(host.size());
    std::iota(host.begin(), host.end(), 5);
    const Tensor x = Tensor::empty({count}, DType::i32, Device::cuda_sim);
    b.upload(host.data(), x);
    b.download(x, found.data());
    CHECK(found == host);
  }
}

TEST_CASE("an upload arrives where the device has no memory for a larger staging slot", "[cuda-sim]") {
  const auto count = static_cast<int64_t>(Staging::largest_slot / sizeof(int32_t)) / 4;
  Backend& b = backend(Device::cuda_sim);
  device_pool(Device::cuda_sim)->reset_peak();  // no freed block may help
  const Tensor x = Tensor::empty({count}, DType::i32, Device::cuda_sim);
  const test::SmallMemory memory(device_pool(Device::cuda_sim)->statistics().reserved + (size_t{1} << 20));
  std::vector<int32_t> host(static_cast<size_t>(count), 1), found(host.size());
  for (int32_t round = 0; round < 3; ++round) {
    std::fill(host.begin(), host.end(), round);
    b.upload(host.data(), x);
    std::fill(host.begin(), host.end(), -1);  // the caller may use its memory again
    b.download(x, found.data());
    CHECK(std::all_of(found.begin(), found.end(), [&](int32_t v) { return v == round; }));
  }
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
