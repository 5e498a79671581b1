// Each check of the stand-ins, proven by a wrong call that it catches.
#include "tests/engine/cuda/card/stand_in/wrong_calls.h"

using namespace dura;
using namespace dura::cuda;
using namespace dura::cuda::stand_in;

TEST_CASE("each check of the stand-ins is proven by a wrong call that it catches", "[card][stand-in]") {
  caught().clear();
  const std::map<std::string, int64_t> before = alive();
  wrong_calls_of_cudnn();
  wrong_calls_of_cublas();
  wrong_calls_of_runtime();
#if defined(DURA_STAND_IN_NCCL)
  wrong_calls_of_nccl();
#endif
  CHECK(checks().size() > 60);
  for (const std::string& check : checks()) {
    INFO(check << ": no wrong call proves it");
    CHECK(caught().count(check) == 1);
  }
  for (const auto& [kind, count] : alive()) {
    INFO(kind);
    CHECK(count == (before.count(kind) ? before.at(kind) : 0));
  }
  complaints().clear();
}

TEST_CASE("a missing wait between streams gives a wrong copy in some order of the stand-in's device", "[card][stand-in]") {
  const auto copied = [](uint64_t seed, bool waits) {
    device().set_seed(seed);
    Convolution c;
    cudaStream_t second = nullptr;
    cudaEvent_t written = nullptr;
    cudaStreamCreateWithFlags(&second, cudaStreamNonBlocking);
    cudaEventCreateWithFlags(&written, cudaEventDisableTiming);
    float value = 7, result = 0;
    cudaMemcpyAsync(c.x, &value, sizeof value, cudaMemcpyHostToDevice, c.stream);
    cudaEventRecord(written, c.stream);
    if (waits) cudaStreamWaitEvent(second, written, 0);
    cudaMemcpyAsync(&result, c.x, sizeof result, cudaMemcpyDeviceToHost, second);
    cudaStreamSynchronize(second), cudaStreamSynchronize(c.stream);
    cudaStreamDestroy(second), cudaEventDestroy(written);
    device().set_seed(0);
    return result;
  };
  bool noticed = false;
  for (uint64_t seed = 0; seed < 12; ++seed) {
    CHECK(copied(seed, true) == 7);
    noticed = noticed || copied(seed, false) != 7;
  }
  CHECK(noticed);
}
