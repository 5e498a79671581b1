// A simulated CUDA device of a test's own, so that a test with an error in it leaves nothing behind for others.
#pragma once
#include <vector>

#include "engine/cuda/kernel.h"
#include "engine/cuda/sim/sim_driver.h"

namespace dura::cuda::test {

struct TestDevice {
  explicit TestDevice(uint64_t seed = 0) { driver.set_seed(seed); }
  sim::SimDriver driver;
  Stream stream = driver.create_stream();

  template <class T>
  T* tensor(int64_t n, const char* what) {
    const size_t bytes = static_cast<size_t>(n) * sizeof(T);
    void* p = driver.allocate(bytes);
    driver.begins(p, bytes, bytes, what, false);
    return static_cast<T*>(p);
  }
  template <class T>
  T* tensor(const std::vector<T>& values, const char* what) {
    T* p = tensor<T>(static_cast<int64_t>(values.size()), what);
    driver.copy_to_device(p, values.data(), values.size() * sizeof(T), stream);
    driver.synchronize(stream);
    return p;
  }
  template <class T>
  std::vector<T> read(const T* device, int64_t n) {
    std::vector<T> host(static_cast<size_t>(n));
    driver.copy_to_host(host.data(), device, host.size() * sizeof(T), stream);
    driver.synchronize(stream);
    return host;
  }
};

// The process's simulated device has so many bytes while this lives.
class SmallMemory {
 public:
  explicit SmallMemory(size_t bytes) { sim::sim_driver().set_memory_bytes(bytes); }
  ~SmallMemory() { sim::sim_driver().set_memory_bytes(before_); }
  SmallMemory(const SmallMemory&) = delete;
  SmallMemory& operator=(const SmallMemory&) = delete;

 private:
  size_t before_ = sim::sim_driver().memory_bytes();
};

}  // namespace dura::cuda::test
