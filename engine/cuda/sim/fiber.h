// A fiber: a function with a stack of its own that can be left in the middle and entered again. On x86-64 the switch is twelve instructions
// (fiber.cpp); elsewhere it is ucontext's, which is slower (it asks the system for the signal mask).
#pragma once
#include <cstddef>
#include <memory>

#if !defined(__x86_64__) || defined(DURA_PORTABLE_FIBERS)
#include <ucontext.h>
#endif

namespace dura::cuda::sim {

class Fiber {
 public:
  static constexpr size_t stack_bytes = 32 << 10;
  Fiber();
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // The next enter() begins function(argument). It must leave for good with a last leave(), never return.
  void prepare(void (*function)(void*), void* argument);
  void enter();  // from the host thread's own stack; returns at the next leave()
  void leave();  // from inside of the fiber

 private:
  std::unique_ptr<char[]> stack_;
#if defined(__x86_64__) && !defined(DURA_PORTABLE_FIBERS)
  void* inside_ = nullptr;
  void* outside_ = nullptr;
#else
  ucontext_t inside_, outside_;
#endif
};

}  // namespace dura::cuda::sim
