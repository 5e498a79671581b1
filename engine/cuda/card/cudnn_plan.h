// A plan is one engine of cuDNN with its settings, ready to compute a graph. Which engines fit is asked of cuDNN's heuristics; engines
// whose results can differ from run to run, or that compute in less than the graph says, are never taken. No CUDA header is included here.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/cuda/graph.h"
#include "engine/cuda/plan_folder.h"

namespace dura::cuda {

class CudnnDescriptor;
class CudnnGraph;

// Of the library that is opened by the first call; both throw Error where there is none.
size_t cudnn_version();  // 91900 is 9.19.0
const std::string& cudnn_path();

// The JSON of device properties of the first card, as PlanTarget::of_description takes it.
std::string card_properties();

// Bytes of workspace that a plan may need; engines that want more are passed over.
inline constexpr size_t plan_workspace_cap = size_t{256} << 20;

// The card that plans are made for.
class PlanTarget {
 public:
  // The card that a cudnnHandle_t belongs to; plans can run.
  static PlanTarget of_handle(void* handle);
  // A card described by cuDNN's JSON of device properties; it need not be here, and plans cannot run. Throws Error where this cuDNN does
  // not accept the description.
  static PlanTarget of_description(const std::string& json);

  void* handle() const { return handle_; }
  const CudnnDescriptor* properties() const { return properties_.get(); }

 private:
  void* handle_ = nullptr;
  std::shared_ptr<CudnnDescriptor> properties_;
};

// What cuDNN's heuristics offer, best first, with what an engine says of itself.
struct EngineOffer {
  PlanChoice choice;
  bool nondeterministic = false;
  bool reduced_precision = false;  // rounds inputs or partial sums to less than the graph says
  bool tensor_core = false;        // for f32: factors are rounded to TF32
  size_t workspace = 0;            // bytes
};
std::vector<EngineOffer> offered_engines(const Graph& graph, const PlanTarget& target);

// Why an engine is not for this graph; "" where it is.
std::string unfit(const EngineOffer& offer, const Graph& graph, size_t workspace_cap);

// No engine computes a graph here: with the graph and what became of each engine.
class NoEngine : public Error {
 public:
  using Error::Error;
};

class CudnnPlan {
 public:
  // Plans of the first fitting engines that cuDNN can make one of, with at most `workspace_cap` bytes of workspace: `most` of them, best
  // first, or as many as there are. `only`: of this choice, whatever is offered. Throws NoEngine where there is none.
  static std::vector<CudnnPlan> candidates(const Graph& graph, const PlanTarget& target, size_t workspace_cap, size_t most,
                                           const PlanChoice* only = nullptr);
  static CudnnPlan best(const Graph& graph, const PlanTarget& target, size_t workspace_cap) {
    return std::move(candidates(graph, target, workspace_cap, 1).front());
  }
  // The plan that a choice stands for, made from `serialized` where that is not empty. Throws where cuDNN refuses it, or where the engine
  // is unfit.
  CudnnPlan(const Graph& graph, const PlanTarget& target, const PlanChoice& choice, const std::string& serialized = "");
  ~CudnnPlan();
  CudnnPlan(CudnnPlan&&) noexcept;

  const std::string& name() const { return name_; }  // the graph's
  const PlanChoice& choice() const { return choice_; }
  size_t workspace_bytes() const { return workspace_; }
  void* handle() const { return handle_; }  // of its target
  std::string serialized() const;           // in cuDNN's own words; "" where it has none for this engine

  // Puts the work into the stream of `handle`. Addresses: of the graph's tensors that are not virtual, in their order; `workspace` has
  // workspace_bytes().
  void run(void* handle, const std::vector<void*>& addresses, void* workspace) const;

 private:
  std::unique_ptr<CudnnGraph> graph_;
  std::unique_ptr<CudnnDescriptor> plan_;
  std::string name_;
  PlanChoice choice_;
  void* handle_ = nullptr;
  size_t workspace_ = 0;
};

// Thrown where a plan is complete but for its last step, loading freshly compiled code onto a card that is not there: with the toolkit's
// stub of the driver, that is as far as a check without a card can get.
class NoCardToLoad : public Error {
 public:
  using Error::Error;
};

}  // namespace dura::cuda
