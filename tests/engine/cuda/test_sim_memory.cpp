// The simulated CUDA device finds wrong uses of its memory: each check is shown by a program with that error.
#include "tests/support/catch.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstring>

#include "engine/devices/cuda_devices.h"
#include "engine/plan/captured_step.h"
#include "tests/support/simulated_device.h"

using namespace dura;
using namespace dura::cuda;
using test::TestDevice;

namespace {

__global__ void add_one_kernel(const float* x, float* y, int64_t first, int64_t end) {
  const int64_t i = first + thread_index();
  if (i < end) y[i] = x[i] + 1;
}

// What a child process that does `job` writes to standard error, and how it ended: exit code, or minus the signal.
std::pair<std::string, int> in_child(const std::function<void()>& job) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]);
    signal(SIGSEGV, SIG_DFL);  // Catch2 has a handler of its own
    job();
    _exit(0);
  }
  close(ends[1]);
  std::string text;
  char buffer[256];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<size_t>(n));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  return {text, WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status)};
}

}  // namespace

TEST_CASE("a host that reads device memory is stopped with the name of the tensor", "[cuda-sim]") {
  const auto [text, end] = in_child([] {
    const Tensor t = Tensor::zeros({7654321}, DType::f32, Device::cuda_sim, "activation of layer1");
    volatile float stray = static_cast<const volatile float*>(t.raw())[3];
    static_cast<void>(stray);
  });
  CHECK(text.find("the host touched device memory: activation of layer1") != std::string::npos);
  CHECK(end != 0);
  // The polite way, for comparison.
  const Tensor t = Tensor::zeros({16}, DType::f32, Device::cuda_sim);
  float host[16] = {1};
  backend(Device::cuda_sim).download(t, host);
  CHECK(host[0] == 0);
  CHECK_THROWS_WITH(t.data<float>(), Catch::Contains("read from the host"));
}

TEST_CASE("memory that was never written is NaN, again after it was given back", "[cuda-sim]") {
  Backend& b = backend(Device::cuda_sim);
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16, DType::f64})
    for (int round = 0; round < 2; ++round) {
      const Tensor t = Tensor::empty({5, 7}, dtype, Device::cuda_sim), wide = Tensor::empty({5, 7}, DType::f64, Device::cuda_sim);
      b.cast(t, wide);
      std::vector<double> host(35);
      b.download(wide, host.data());
      for (double v : host) REQUIRE(std::isnan(v));
      b.fill(t, 1);
    }
}

TEST_CASE("a write one element behind the end of a tensor is found and named", "[cuda-sim]") {
  // With room behind the tensor in its block, and with none.
  for (const int64_t n : {13, 16, 1024}) {
    const Tensor x = Tensor::zeros({n + 1}, DType::f32, Device::cuda_sim),
                 y = Tensor::empty({n}, DType::f32, Device::cuda_sim, "short output");
    Driver& d = driver_of(Device::cuda_sim);
    const Stream s = compute_stream(Device::cuda_sim);
    const auto run = [&](int64_t first, int64_t end) {
      launch(d, s, "add_one", add_one_kernel, grid_over(n + 1), static_cast<const float*>(x.raw()), static_cast<float*>(y.raw()), first,
             end);
      d.synchronize(s);
    };
    CHECK_NOTHROW(run(0, n));
    CHECK_THROWS_WITH(run(0, n + 1), Catch::Contains("add_one") && Catch::Contains("short output") && Catch::Contains("behind"));
    // And in front.
    if (n == 1024) {
      const Tensor z = Tensor::empty({n}, DType::f32, Device::cuda_sim, "output");
      launch(d, s, "add_one", add_one_kernel, grid_over(1), static_cast<const float*>(x.raw()) + 1, static_cast<float*>(z.raw()),
             int64_t{-1}, int64_t{0});
      CHECK_THROWS_WITH(d.synchronize(s), Catch::Contains("in front"));
    }
  }
}

TEST_CASE("a kernel gets addresses of living tensors only", "[cuda-sim]") {
  TestDevice d;
  const float* x = d.tensor<float>(8, "x");
  float host[8] = {};
  CHECK_THROWS_WITH(launch(d.driver, d.stream, "add_one", add_one_kernel, grid_over(8), x, &host[0], int64_t{0}, int64_t{8}),
                    Catch::Contains("add_one") && Catch::Contains("it is the host's") && Catch::Contains("700"));
  float* gone = d.tensor<float>(8, "gone");
  d.driver.ends(gone);
  CHECK_THROWS_WITH(launch(d.driver, d.stream, "add_one", add_one_kernel, grid_over(8), x, gone, int64_t{0}, int64_t{8}),
                    Catch::Contains("no living tensor"));
  CHECK_THROWS_WITH(d.driver.copy_to_device(const_cast<float*>(x), host, 9 * sizeof(float), d.stream), Catch::Contains("36 bytes"));
}

TEST_CASE("a plan that puts two living tensors on the same bytes is found when it is run", "[cuda-sim]") {
  const auto step = [] {
    const Tensor a = Tensor::zeros({100}, DType::f32, Device::cuda_sim, "first activation"),
                 b = Tensor::zeros({100}, DType::f32, Device::cuda_sim, "second activation"),
                 y = Tensor::empty({100}, DType::f32, Device::cuda_sim);
    backend(Device::cuda_sim).add(a, b, y);
  };
  MemoryPlan plan;
  {
    DryRun dry(Device::cuda_sim);
    step();
    plan = dry.memory_plan();
  }
  const auto run = [&](const MemoryPlan& p) {
    const auto arena = std::make_shared<Arena>(Device::cuda_sim, p);
    const MemoryScope scope(Device::cuda_sim, arena);
    step();
  };
  CHECK_NOTHROW(run(plan));
  plan.offsets[1] = plan.offsets[0] + 64;
  CHECK_THROWS_WITH(run(plan),
                    Catch::Contains("first activation") && Catch::Contains("second activation") && Catch::Contains("same device memory"));
}

TEST_CASE("memory that is given back is used again, and the device says when it is full", "[cuda-sim]") {
  TestDevice d;
  void* first = d.driver.allocate(100000);
  void* second = d.driver.allocate(50);
  d.driver.release(first);
  CHECK(d.driver.allocate(90000) == first);
  d.driver.release(second);
  CHECK(d.driver.allocate(size_t{1} << 50) == nullptr);
  CHECK_THROWS_WITH(d.driver.release(second), Catch::Contains("not allocated"));
  CHECK_THROWS_WITH(Tensor::empty({int64_t{1} << 47}, DType::u8, Device::cuda_sim, "huge"), Catch::Contains("out of memory: huge"));
}
