#include "engine/cuda/card/card_plans.h"

#include <algorithm>
#include <cstdlib>
#include <limits>

#include "engine/base/log.h"
#include "engine/base/parallel.h"
#include "engine/cuda/card/cuda_check.h"
#include "engine/cuda/card/cudnn_library.h"

namespace dura::cuda {
namespace {

// Which engines are taken depends on these rules (unfit, candidates): a change of them is a new number, and what was kept is not used.
constexpr int rules = 1;

// Of BatchNorm's graphs cuDNN offers thirty forms, and compiles each for a second or more.
constexpr size_t most_candidates = 8;

bool tunes() {
  const char* text = std::getenv("DURA_CUDA_TUNE");
  const std::string value = text ? text : "0";
  if (value != "0" && value != "1")
    fail_usage("DURA_CUDA_TUNE is '", value, "'. It must be 0 (cuDNN's first choice) or 1 (engines are measured).");
  return value == "1";
}

// What a plan depends on besides its graph. Compiled code is the driver's affair, too.
std::string target_of_card() {
  cudaDeviceProp card{};
  check(cudaGetDeviceProperties(&card, card_number()), "CUDA, asking for the card's properties");
  int driver = 0;
  check(cudaDriverGetVersion(&driver), "CUDA, asking for the driver's version");
  return concat("cuDNN ", cudnn_version(), ", ", card.name, " ", card.major, ".", card.minor, ", driver ", driver, ", rules ", rules);
}

// Something of CUDA's that ends with its owner.
template <class T, cudaError_t (*end)(T)>
struct Owned {
  T raw = nullptr;
  Owned() = default;
  Owned(const Owned&) = delete;
  Owned(Owned&& other) noexcept : raw(std::exchange(other.raw, nullptr)) {}
  ~Owned() {
    if (raw) end(raw);
  }
};

// Runs plans of one graph on memory of its own, for their times.
class Stopwatch {
 public:
  // `workspace`: the most bytes that one of the plans needs.
  Stopwatch(const Graph& graph, size_t workspace) {
    check(cudaStreamCreateWithFlags(&stream_.raw, cudaStreamNonBlocking), "CUDA, new stream");
    for (auto* event : {&begin_, &end_}) check(cudaEventCreateWithFlags(&event->raw, cudaEventDefault), "CUDA, new event");
    for (const GraphTensor& t : graph.tensors) {
      if (t.is_virtual) continue;
      addresses_.push_back(allocate(t.bytes()));
      // Not zeros, with which a card needs less power: 0x3c3c is 1.06 in f16, 0x3c3c3c3c is 0.011 in f32.
      check(cudaMemsetAsync(addresses_.back(), 0x3c, t.bytes(), stream_.raw), "CUDA, filling memory");
    }
    workspace_ = allocate(std::max<size_t>(workspace, 1));
  }

  // Milliseconds, the least of some runs.
  float time(const CudnnPlan& plan) {
    constexpr int warm_up = 2, runs = 7;
    check_cudnn(cudnn().set_stream(static_cast<cudnnHandle_t>(plan.handle()), stream_.raw), "cuDNN, choosing a stream");
    float least = std::numeric_limits<float>::infinity();
    for (int i = -warm_up; i < runs; ++i) {
      check(cudaEventRecord(begin_.raw, stream_.raw), "CUDA, recording an event");
      plan.run(plan.handle(), addresses_, workspace_);
      check(cudaEventRecord(end_.raw, stream_.raw), "CUDA, recording an event");
      check(cudaEventSynchronize(end_.raw), "CUDA, waiting for an event");
      float ms = 0;
      check(cudaEventElapsedTime(&ms, begin_.raw, end_.raw), "CUDA, reading the time between two events");
      if (i >= 0) least = std::min(least, ms);
    }
    return least;
  }

 private:
  void* allocate(size_t bytes) {
    check(cudaMalloc(&memory_.emplace_back().raw, bytes), concat("CUDA, allocating ", bytes, " bytes"));
    return memory_.back().raw;
  }

  std::vector<Owned<void*, cudaFree>> memory_;
  std::vector<void*> addresses_;
  void* workspace_ = nullptr;
  Owned<cudaEvent_t, cudaEventDestroy> begin_, end_;
  Owned<cudaStream_t, cudaStreamDestroy> stream_;
};

}  // namespace

struct CardPlans::Handle {
  Handle() {
    use_card();  // a handle belongs to the card of the thread that makes it
    check_cudnn(cudnn().create(&raw), "cuDNN, new handle");
  }
  ~Handle() { cudnn().destroy(raw); }
  Handle(const Handle&) = delete;
  cudnnHandle_t raw = nullptr;
};

// What a thread found out about a graph. It says nothing itself: a program's log is not for several threads.
struct CardPlans::Made {
  std::vector<CudnnPlan> candidates;  // more than one: their times decide
  bool kept = false;                  // it came from the folder
  std::string no_engine, unusable;    // why there is none; why the file was of no use
};

CardPlans::CardPlans() : handles_(1), folder_(PlanFolder::of_user(), target_of_card()), tunes_(tunes()) { handle(0); }
CardPlans::~CardPlans() = default;

void* CardPlans::handle(int thread) {
  auto& h = handles_.at(static_cast<size_t>(thread));
  if (!h) h = std::make_unique<Handle>();
  return h->raw;
}

CardPlans::Made CardPlans::make_one(const Graph& graph, void* handle, const PlanChoice* only) const {
  Made made;
  const PlanTarget target = PlanTarget::of_handle(handle);
  try {
    const std::optional<KeptPlan> kept = folder_.find(graph);
    if (kept && (only ? kept->choice == *only : kept->measured || !tunes_)) {
      CudnnPlan plan(graph, target, kept->choice, kept->serialized);
      DURA_CHECK(plan.workspace_bytes() <= plan_workspace_cap, "it needs ", plan.workspace_bytes(), " bytes of workspace");
      made.candidates.push_back(std::move(plan));
      made.kept = true;
      return made;
    }
  } catch (const OutOfMemory&) {
    throw;
  } catch (const Error& e) {
    made.unusable = e.what();
  }
  try {
    made.candidates = CudnnPlan::candidates(graph, target, plan_workspace_cap, tunes_ ? most_candidates : 1, only);
  } catch (const NoEngine& e) {
    made.no_engine = e.what();
  }
  return made;
}

void CardPlans::take(const Graph& graph, Made made) {
  if (!made.unusable.empty() && !std::exchange(said_unusable_, true))
    log_warning("A plan that was kept cannot be used: ", made.unusable, ". Such plans are made anew; this is said once.");
  std::unique_ptr<CudnnPlan> taken;
  if (made.candidates.empty()) {
    check_alive("while cuDNN was asked for " + graph.name);
    log_warning(made.no_engine);
  } else {
    size_t fastest = 0;
    const bool measured = tunes_ && measure(graph, made.candidates, fastest);
    taken = std::make_unique<CudnnPlan>(std::move(made.candidates[fastest]));
    if (!made.kept) {
      try {
        folder_.keep(graph, {.choice = taken->choice(), .measured = measured, .serialized = taken->serialized()});
      } catch (const OutOfMemory&) {
        throw;
      } catch (const Error& e) {
        if (!std::exchange(said_unkept_, true)) log_info("A plan cannot be kept: ", e.what(), " This is said once.");
      }
    }
  }
  plans_.emplace(graph, std::move(taken));
}

// Which of the plans is the fastest. False where there is no memory to run them.
bool CardPlans::measure(const Graph& graph, const std::vector<CudnnPlan>& plans, size_t& fastest) {
  if (plans.size() == 1) return true;
  size_t workspace = 0;
  for (const CudnnPlan& p : plans) workspace = std::max(workspace, p.workspace_bytes());
  try {
    Stopwatch watch(graph, workspace);
    std::vector<float> ms;
    for (const CudnnPlan& p : plans) ms.push_back(watch.time(p));
    fastest = static_cast<size_t>(std::min_element(ms.begin(), ms.end()) - ms.begin());
    log_info(graph.name, ": ", describe(plans[fastest].choice()), " takes ", ms[fastest], " ms, cuDNN's first choice ", ms[0], " ms");
    return true;
  } catch (const OutOfMemory& e) {
    log_warning("the engines of ", graph.name, " are not measured: ", e.what());
    return false;
  }
}

void CardPlans::make(std::vector<Graph> graphs, bool tf32) {
  std::vector<Graph> missing;
  for (Graph& g : graphs) {
    g.tf32 = tf32 && multiplies_f32(g);
    if (plans_.count(g) == 0 && std::find(missing.begin(), missing.end(), g) == missing.end()) missing.push_back(std::move(g));
  }
  if (missing.empty()) return;
  check_alive("before cuDNN is asked for " + missing[0].name);
  handles_.resize(std::max(handles_.size(), static_cast<size_t>(num_threads())));
  std::vector<Made> made(missing.size());
  parallel_for(static_cast<int64_t>(missing.size()), [&](int64_t task) {
    const auto i = static_cast<size_t>(task);
    made[i] = make_one(missing[i], handle(worker_index()));
  });
  for (size_t i = 0; i < missing.size(); ++i) take(missing[i], std::move(made[i]));
}

bool CardPlans::lend(const CudnnPlan& plan, Graph to, bool tf32) {
  to.tf32 = tf32 && multiplies_f32(to);
  if (const auto found = plans_.find(to); found != plans_.end()) return found->second != nullptr;
  Made made = make_one(to, handle(0), &plan.choice());
  check_alive("while cuDNN was asked for " + to.name);
  const bool lent = !made.candidates.empty();
  if (lent) take(to, std::move(made));
  return lent;
}

const CudnnPlan* CardPlans::find(Graph graph, bool tf32) {
  graph.tf32 = tf32 && multiplies_f32(graph);
  const auto found = plans_.find(graph);
  if (found != plans_.end()) return found->second.get();
  make({graph}, tf32);
  return plans_.at(graph).get();
}

}  // namespace dura::cuda
