// Plans of earlier runs, in the user's cache folder: cuDNN takes up to seconds to make one where it compiles code. One file for each graph
// and card; it is written as a whole, so processes at the same time do no harm to each other. A file that is damaged or of something else
// costs a message and is written anew, never a run: the caller then makes the plan as if no file was there.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/cuda/graph.h"

namespace dura::cuda {

// Enough to make the same plan again: an engine of cuDNN and its settings.
struct PlanChoice {
  int64_t engine = -1;
  std::vector<std::pair<int64_t, int64_t>> knobs;  // type and value, by type
  bool operator==(const PlanChoice&) const = default;
};
std::string describe(const PlanChoice& choice);  // "engine 38, knobs 2=14 13=32"

struct KeptPlan {
  PlanChoice choice;
  bool measured = false;        // the fastest of several that ran on the card; else the first that cuDNN offered
  std::string serialized = {};  // the plan in cuDNN's own words, with the code that it compiled; empty: cuDNN had none
  bool operator==(const KeptPlan&) const = default;
};

// A plan's file: its contents, and back. `key`: what it is a plan of. read_plan throws Error that begins with `name`.
std::string plan_text(const std::string& key, const KeptPlan& plan);
KeptPlan read_plan(const std::string& text, const std::string& key, const std::string& name);

class PlanFolder {
 public:
  // `target`: what a plan depends on besides its graph, in one line. Without a folder nothing is kept.
  PlanFolder(std::filesystem::path folder, std::string target) : folder_(std::move(folder)), target_(std::move(target)) {}
  // DURA_CUDA_PLANS names the folder, or is "off"; else it is dura/plans in XDG_CACHE_HOME, or in ~/.cache.
  static std::filesystem::path of_user();

  // Nothing where no file is there; throws Error where one is that cannot be used.
  std::optional<KeptPlan> find(const Graph& graph) const;
  // Throws Error where the file cannot be written: also while another process writes it.
  void keep(const Graph& graph, const KeptPlan& plan) const;
  // Where the plan of a graph is kept.
  std::filesystem::path file_of(const Graph& graph) const;

 private:
  std::string key(const Graph& graph) const;

  std::filesystem::path folder_;
  std::string target_;
};

}  // namespace dura::cuda
