// A model behind its handle.
#pragma once
#include <optional>

#include "models/predictor.h"

namespace dura::c {

// A share in the process' one pool of threads: its number of threads is fixed while a model is open, because every model's memory is laid
// out for it.
class ThreadShare {
 public:
  explicit ThreadShare(int threads);  // 0: as it is. UsageError: another number than that of the models that are open
  ~ThreadShare();                     // the last one gives the memory back that is kept for the next model
  ThreadShare(const ThreadShare&) = delete;
  ThreadShare& operator=(const ThreadShare&) = delete;
};

}  // namespace dura::c

struct dura_model {
  explicit dura_model(int threads) : share(threads) {}
  void load(std::span<const uint8_t> bytes, const std::string& name, const dura::PredictorOptions& options) {
    predictor.emplace(bytes, name, options);
    predictor->reserve();
  }
  dura::c::ThreadShare share;
  std::optional<dura::Predictor> predictor;  // always there once it was opened
};
