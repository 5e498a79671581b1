#include "engine/cuda/sim/fiber.h"

#include <cstdint>

namespace dura::cuda::sim {

#if defined(__x86_64__) && !defined(DURA_PORTABLE_FIBERS)

// Saves what the System V ABI asks a called function to keep, and continues on another stack.
extern "C" void dura_switch_stack(void** save, void* load);
asm(R"(
.text
.globl dura_switch_stack
.type dura_switch_stack, @function
dura_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.globl dura_begin_fiber
.type dura_begin_fiber, @function
dura_begin_fiber:
  movq %r13, %rdi
  callq *%r12
  ud2
.size dura_switch_stack, .-dura_switch_stack
)");
extern "C" void dura_begin_fiber();

Fiber::Fiber() : stack_(new char[stack_bytes]) {}
Fiber::~Fiber() = default;

void Fiber::prepare(void (*function)(void*), void* argument) {
  // As if dura_switch_stack had been called from dura_begin_fiber with the function in r12 and its argument in r13. rsp is a multiple of
  // 16 where dura_begin_fiber begins, as it must be before every call.
  auto* top = reinterpret_cast<uint64_t*>((reinterpret_cast<uintptr_t>(stack_.get()) + stack_bytes) & ~uintptr_t{15});
  uint64_t* frame = top - 9;
  frame[0] = 0, frame[1] = 0;                                // r15, r14
  frame[2] = reinterpret_cast<uint64_t>(argument);           // r13
  frame[3] = reinterpret_cast<uint64_t>(function);           // r12
  frame[4] = 0, frame[5] = 0;                                // rbx, rbp
  frame[6] = reinterpret_cast<uint64_t>(&dura_begin_fiber);  // where `ret` goes; rsp is then top - 16
  frame[7] = 0;
  inside_ = frame;
}
void Fiber::enter() { dura_switch_stack(&outside_, inside_); }
void Fiber::leave() { dura_switch_stack(&inside_, outside_); }

#else

namespace {
// makecontext passes ints only.
void begin(unsigned function_high, unsigned function_low, unsigned argument_high, unsigned argument_low) {
  const auto join = [](unsigned high, unsigned low) { return static_cast<uintptr_t>((uint64_t{high} << 32) | low); };
  reinterpret_cast<void (*)(void*)>(join(function_high, function_low))(reinterpret_cast<void*>(join(argument_high, argument_low)));
}
}  // namespace

Fiber::Fiber() : stack_(new char[stack_bytes]) {}
Fiber::~Fiber() = default;

void Fiber::prepare(void (*function)(void*), void* argument) {
  getcontext(&inside_);
  inside_.uc_stack.ss_sp = stack_.get();
  inside_.uc_stack.ss_size = stack_bytes;
  inside_.uc_link = nullptr;
  const uint64_t f = reinterpret_cast<uintptr_t>(function), a = reinterpret_cast<uintptr_t>(argument);
  makecontext(&inside_, reinterpret_cast<void (*)()>(&begin), 4, static_cast<unsigned>(f >> 32), static_cast<unsigned>(f),
              static_cast<unsigned>(a >> 32), static_cast<unsigned>(a));
}
void Fiber::enter() { swapcontext(&outside_, &inside_); }
void Fiber::leave() { swapcontext(&inside_, &outside_); }

#endif

}  // namespace dura::cuda::sim
