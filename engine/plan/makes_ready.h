// What a backend is besides whose answers about workspaces can take seconds, because code is compiled for them: asked about all kernels of
// a step at once, it compiles on several threads.
#pragma once
#include <functional>

namespace dura {

class MakesReady {
 public:
  virtual ~MakesReady() = default;
  // Runs `questions`, which asks Backend::conv_workspace and batch_norm_space, and gets ready to answer them. The answers inside are worth
  // nothing.
  virtual void make_ready(const std::function<void()>& questions) = 0;
};

}  // namespace dura
