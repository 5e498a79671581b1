// The plans of one card: made when a graph is first asked for, or several side by side, and kept in the user's cache folder
// (plan_folder.h). Code is compiled for seconds where an engine needs it, on as many threads as there are graphs.
//
// DURA_CUDA_TUNE=1: of each graph's best engines some are run on the card, and the fastest is taken and kept.
#pragma once
#include <memory>
#include <unordered_map>
#include <vector>

#include "engine/cuda/card/cudnn_plan.h"

namespace dura::cuda {

class CardPlans {
 public:
  CardPlans();  // needs a card
  ~CardPlans();

  // Null where no engine computes it, which is said once. `tf32`: f32 factors of products may be rounded.
  const CudnnPlan* find(Graph graph, bool tf32);
  // Makes the plans of all that have none yet.
  void make(std::vector<Graph> graphs, bool tf32);
  // Makes the plan of another graph with this one's engine and settings. False where those do not compute it, which nobody is told.
  bool lend(const CudnnPlan& plan, Graph to, bool tf32);

 private:
  struct Handle;
  struct Made;
  void* handle(int thread);
  // `only`: of this choice alone.
  Made make_one(const Graph& graph, void* handle, const PlanChoice* only = nullptr) const;
  void take(const Graph& graph, Made made);
  static bool measure(const Graph& graph, const std::vector<CudnnPlan>& plans, size_t& fastest);

  // A handle of cuDNN is for one thread at a time. A plan is run with the one that it was made with.
  std::vector<std::unique_ptr<Handle>> handles_;
  PlanFolder folder_;
  bool tunes_, said_unusable_ = false, said_unkept_ = false;
  std::unordered_map<Graph, std::unique_ptr<CudnnPlan>, GraphHash> plans_;  // null: no engine
};

}  // namespace dura::cuda
