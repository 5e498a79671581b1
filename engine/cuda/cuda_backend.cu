// What all parts of the backend share: its scratch buffer, and how one is made.
#include "engine/cuda/cuda_backend.h"

#include "engine/cuda/replayable.h"

namespace dura::cuda {
inline namespace DURA_CUDA_BUILD {

void* CudaBackend::scratch_bytes(size_t bytes) {
  constexpr size_t most = size_t{4} << 20;
  DURA_CHECK(bytes <= most, "the CUDA backend's scratch buffer has ", most, " bytes, a reduction needs ", bytes);
  if (!scratch_) scratch_ = std::make_unique<Buffer>(device_pool(device()), most, "scratch of reductions");
  return scratch_->data();
}

std::unique_ptr<Replay> CudaBackend::capture(const std::function<void()>& body) {
  return std::make_unique<Replayable>(driver_, stream_, body);
}

std::unique_ptr<Backend> make_backend(Driver& driver, Stream stream, std::shared_ptr<MemorySource> memory, BlockWatcher* watcher) {
  return std::make_unique<CudaBackend>(driver, stream, std::move(memory), watcher);
}

}  // namespace DURA_CUDA_BUILD
}  // namespace dura::cuda
