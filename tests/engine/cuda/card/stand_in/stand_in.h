// What stands in for CUDA's runtime, cuDNN, cublasLt and NCCL in the program of these tests, so that engine/cuda/card runs where there is
// no card. cuda_runtime.cpp defines the runtime's functions; cudnn.cpp, cublas_lt.cpp and nccl.cpp are shared libraries under NVIDIA's
// names, opened as programs open those. All of it works on a simulated device of its own: memory, streams, capture and its order are
// checked there, and graphs and products are computed by its interpreter. A call that NVIDIA's documentation forbids is refused with the
// documented status and kept as a complaint.
#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "engine/cuda/sim/sim_driver.h"

namespace dura::cuda::stand_in {

// The simulated card. Never destroyed.
sim::SimDriver& device();

// What was wrong with calls so far, oldest first.
std::vector<std::string>& complaints();
// Keeps a complaint; returns false.
bool keep_complaint(const std::string& what);

// The names of all checks that programs and libraries loaded so far have, and of those that have caught something. A test holds that each
// is proven by a wrong call: a new check without one fails it.
std::set<std::string>& checks();
std::set<std::string>& caught();

// A string as a template's argument.
template <size_t N>
struct Name {
  char text[N];
  constexpr Name(const char (&from)[N]) { std::copy_n(from, N, text); }
};
template <Name name>
struct Check {
  static inline const bool known = checks().insert(name.text).second;  // when the library is loaded
};

// The check of this name has caught something.
template <Name name>
void note() {
  [[maybe_unused]] const bool* known = &Check<name>::known;
  caught().insert(name.text);
}
// Keeps the complaint of a check; returns false, so that `good || complain<...>()` reads as a condition.
template <Name name>
bool complain(const std::string& more = "") {
  note<name>();
  return keep_complaint(name.text + more);
}
// Throws the complaint of a check, for calls whose errors are kept in one place.
template <Name name>
[[noreturn]] void refuse(const std::string& more = "") {
  note<name>();
  throw Error(name.text + more);
}

// Counts a call that may fail; true where this one is to fail without a reason (fail_at).
bool injected(const char* call);
// The n-th call from now on fails, the first is 1; 0: none.
void fail_at(int64_t n);
int64_t calls();              // since the last fail_at
const std::string& failed();  // the call that was made to fail; empty: none

// How many objects of each kind are alive: "stream", "event", "allocation", "cuDNN descriptor", ...
std::map<std::string, int64_t>& alive();

// The device's stream behind a cudaStream_t; throws Error where there is none (any more).
Stream stream_of(const void* handle);
// From an error that kernels make: the card is lost until this is called.
void repair();

// Products that cublasLt has no algorithm for, and graphs that cuDNN has no engine for; at first none.
std::function<bool(const Product&)>& unsupported_product();
std::function<bool(const Graph&)>& unsupported_graph();
// Engines that make no plan of a graph though they are offered, and what an engine takes a graph for before it computes it, as one with an
// error would; at first none and nothing.
std::function<bool(const Graph&, int64_t engine)>& refusing_engine();
std::function<void(Graph&, int64_t engine)>& misreading_engine();
// What making plans took: how often heuristics were asked, how many plans were made of an engine (a real cuDNN may compile then), and how
// many of those at once at most. Each takes compile_ms() milliseconds of the host's time, at first none.
struct PlanCosts {
  int64_t heuristics = 0, compiled = 0, at_once = 0;
};
PlanCosts& plan_costs();
int& compile_ms();
// The time on the card, which runs of cuDNN's plans take: a plan of engine 4 two milliseconds, one of engine 5 one.
double& card_ms();

// NCCL's other ranks; null: there are none.
Communicator*& ranks();
// What NCCL answers when it is asked for errors that came late; 0: none.
int& nccl_late_error();
// How often NCCL says "in progress" of each call from now on before it does what was asked for; negative: always.
int64_t& nccl_questions();
// How often from now on an event is said not to have happened; negative: always.
int64_t& event_stalls();
// By which cards are told apart, 16 bytes.
std::string& card_uuid();

// The engine that each graph ran on, by the graph's description.
std::map<std::string, int64_t>& engines();

}  // namespace dura::cuda::stand_in
