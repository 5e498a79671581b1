// What all parts of the backend share: its scratch buffer, captured work, and how one is made.
#include "engine/cuda/cuda_backend.h"

namespace dura::cuda {
inline namespace DURA_CUDA_BUILD {
namespace {

class CapturedReplay final : public Replay {
 public:
  CapturedReplay(Driver& driver, Stream stream, const std::function<void()>& body) : driver_(driver), stream_(stream) {
    driver.begin_capture(stream);
    try {
      body();
    } catch (...) {
      // The first error is the one to tell; the capture that it ended is of no use.
      try {
        driver.release(driver.end_capture(stream));
      } catch (const DriverError&) {
      }
      throw;
    }
    work_ = driver.end_capture(stream);
  }
  ~CapturedReplay() override { driver_.release(work_); }
  void run() override { driver_.replay(work_, stream_); }

 private:
  Driver& driver_;
  Stream stream_;
  CapturedWork work_;
};

}  // namespace

void* CudaBackend::scratch_bytes(size_t bytes) {
  constexpr size_t most = size_t{4} << 20;
  DURA_CHECK(bytes <= most, "the CUDA backend's scratch buffer has ", most, " bytes, a reduction needs ", bytes);
  if (!scratch_) scratch_ = std::make_unique<Buffer>(device_pool(device()), most, "scratch of reductions");
  return scratch_->data();
}

int32_t* CudaBackend::overflow_flag() {
  if (!overflow_) {
    overflow_ = std::make_unique<Buffer>(device_pool(device()), sizeof(int32_t), "overflow flag");
    const int32_t clear = 0;
    staging_.upload(overflow_->data(), &clear, sizeof clear);
  }
  return static_cast<int32_t*>(overflow_->data());
}

void CudaBackend::make_ready(const std::function<void()>& questions) {
  if (!workspace_is_slow()) return;
  std::vector<Graph> graphs;
  asked_ = &graphs;
  try {
    questions();
  } catch (...) {
    asked_ = nullptr;
    throw;
  }
  asked_ = nullptr;
  driver_.make_ready(graphs);
}

bool CudaBackend::supports(const Graph& graph) {
  if (asked_) asked_->push_back(graph);
  return asked_ || driver_.supports(graph);
}

std::unique_ptr<Replay> CudaBackend::capture(const std::function<void()>& body) {
  return std::make_unique<CapturedReplay>(driver_, stream_, body);
}

std::unique_ptr<Backend> make_backend(Driver& driver, Stream stream, std::shared_ptr<MemorySource> memory) {
  return std::make_unique<CudaBackend>(driver, stream, std::move(memory));
}

}  // namespace DURA_CUDA_BUILD
}  // namespace dura::cuda
