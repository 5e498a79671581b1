// Asks cuDNN, without a card, for a plan of every graph that ResNet-50's training and inference need on an H100
// (tests/engine/cuda/card/h100.json): a deterministic engine within the cap of workspace. The graphs come from dry runs of the model. For
// every graph the heuristics are asked; of each pattern (operations, filter, stride) one plan is completed and made again from its choice
// of engine. Code that cuDNN compiles while making a plan cannot be loaded here: with the toolkit's stub as libcuda.so.1 such a plan gets
// as far as that last step, and counts.
//   usage: cudnn_plan_check DEVICE_PROPERTIES.json f16|bf16|tf32|f32|all BATCH...
// Ends with 77 (skipped) where cuDNN is missing, or where a version that this was not tried with does not take the description.
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <set>

#include "engine/cuda/card/cudnn_plan.h"
#include "tests/support/resnet50_passes.h"

using namespace dura;
using namespace dura::cuda;

namespace {

constexpr int skipped = 77;
constexpr size_t known_version = 91900;  // its answers are known: there a skip is a failure

struct Mode {
  const char* name;
  DType dtype;
  bool tf32;
};

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }
double mebibytes(size_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

void append(GraphList& all, const GraphList& more) {
  const auto add = [](std::vector<Graph>& to, const std::vector<Graph>& from) {
    for (const Graph& g : from)
      if (std::find(to.begin(), to.end(), g) == to.end()) to.push_back(g);
  };
  add(all.convolutions, more.convolutions);
  add(all.batch_norms, more.batch_norms);
  add(all.dense, more.dense);
}

GraphList graphs_of_resnet50(int64_t batch, const Mode& mode) {
  GraphList all;
  ResNet50Passes(mode.dtype, Device::meta, batch, 224).each([&](const std::string&, const std::function<void()>& pass) {
    const DryRun dry(Device::meta);
    pass();
    append(all, graphs_of(dry.calls(), mode.tf32));
  });
  return all;
}

// What decides which kind of engine a graph gets: all but the sizes of images.
std::string pattern(const Graph& g) {
  std::string text;
  for (const GraphNode& n : g.nodes) {
    text += concat(operation_name(n.operation), n.accumulate ? "+=" : "", " s", n.stride, " p", n.padding, "; ");
    if (n.operation != Operation::conv_forward && n.operation != Operation::conv_backward_data &&
        n.operation != Operation::conv_backward_filter)
      continue;
    const int w = n.operation == Operation::conv_backward_filter ? n.outputs[0] : n.inputs[1];
    const GraphTensor& t = g.tensors[static_cast<size_t>(w)];
    text += concat(t.extents[2], "x", t.extents[3], "; ");
  }
  return text;
}

struct Totals {
  int graphs = 0, without_plan = 0, skipped = 0, complete = 0, compiled = 0, from_words = 0;
  size_t largest_workspace = 0;
};

void fail_graph(Totals& totals, const Graph& g, const std::string& why) {
  ++totals.without_plan;
  std::cout << "NO PLAN: " << g.name << (g.tf32 ? " (TF32)" : "") << "\n  " << why << "\n";
}

// The heuristics' answer to one graph.
void check_offers(const Graph& g, const PlanTarget& target, Totals& totals) {
  ++totals.graphs;
  const std::vector<EngineOffer> offers = offered_engines(g, target);
  const auto fits = [&](const EngineOffer& o) { return unfit(o, g, plan_workspace_cap).empty(); };
  const auto best = std::find_if(offers.begin(), offers.end(), fits);
  if (best != offers.end()) {
    totals.largest_workspace = std::max(totals.largest_workspace, best->workspace);
    return;
  }
  std::set<std::string> reasons;
  for (const EngineOffer& o : offers) reasons.insert(unfit(o, g, plan_workspace_cap));
  std::string why = concat(offers.size(), " engines offered");
  for (const std::string& r : reasons) why += "; " + r;
  fail_graph(totals, g, why);
}

void check_plan(const Graph& g, const PlanTarget& target, Totals& totals) {
  try {
    const CudnnPlan plan = CudnnPlan::best(g, target, plan_workspace_cap);
    const CudnnPlan again(g, target, plan.choice());
    DURA_CHECK(again.workspace_bytes() == plan.workspace_bytes(), "made again from ", describe(plan.choice()), " it needs ",
               again.workspace_bytes(), " bytes of workspace, before ", plan.workspace_bytes());
    ++totals.complete;
    // As the next process takes it from the folder of plans.
    const std::string words = plan.serialized();
    if (words.empty()) return;
    DURA_CHECK(CudnnPlan(g, target, plan.choice(), words).workspace_bytes() == plan.workspace_bytes(), "made again from its own words, ",
               describe(plan.choice()), " needs another workspace");
    ++totals.from_words;
  } catch (const NoCardToLoad&) {
    ++totals.compiled;
  } catch (const Error& e) {
    fail_graph(totals, g, e.what());
  }
}

// Whether libcuda.so.1 (the stub will do) can be opened: without it cuDNN offers no engine that compiles its code.
bool driver_library_opens() {
  void* handle = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
  if (handle) dlclose(handle);
  return handle != nullptr;
}

// The check can fail: graphs that have no plan are seen to have none.
void check_that_it_can_fail(const PlanTarget& target) {
  const ConvGeometry g{.N = 16, .H = 14, .W = 14, .C = 256, .K = 256, .R = 3, .S = 3, .P = 14, .Q = 14, .stride = 1, .padding = 1};
  Graph mixed = conv_graph(g, DType::f16, {});
  mixed.tensors[1].dtype = DType::bf16;
  Totals totals;
  std::cout << "must have no plan (an f16 image and a bf16 filter): ";
  try {
    check_offers(mixed, target, totals);
  } catch (const Error& e) {
    fail_graph(totals, mixed, e.what());
  }
  DURA_CHECK(totals.without_plan == 1,
             "cuDNN offers a plan for a convolution of an f16 image with a bf16 filter: this check sees no failure");
  // What dura's graphs avoid because 9.19 has no engine for it (graph.h).
  Graph wide = conv_graph(g, DType::f16, {.pass = ConvPass::backward_filter});
  wide.tensors.back().dtype = DType::f32;
  const bool has_wide = !offered_engines(wide, target).empty();
  std::cout << "a filter gradient stored as f32 beside f16 images: " << (has_wide ? "this cuDNN has engines" : "no engine") << "\n";
  DURA_CHECK(!has_wide || cudnn_version() != known_version, "cuDNN ", known_version, " was known to have no engine for that");
  Graph plain = conv_graph(g, DType::f16, {.pass = ConvPass::backward_filter});
  DURA_CHECK(!unfit(offered_engines(plain, target).at(0), plain, 0).empty(), "a plan fits into no workspace at all");
}

int check(const std::string& json, const std::string& type, const std::vector<int64_t>& batches) {
  size_t version = 0;
  try {
    version = cudnn_version();
  } catch (const Error& e) {
    std::cout << "skipped: " << e.what() << "\n";
    return skipped;
  }
  std::cout << "cuDNN " << version << " (" << cudnn_path() << "), without a card\n";
  std::unique_ptr<PlanTarget> target;
  try {
    target = std::make_unique<PlanTarget>(PlanTarget::of_description(json));
  } catch (const Error& e) {
    std::cout << (version == known_version ? "FAILED" : "skipped") << ": this cuDNN does not take the description of the card: " << e.what()
              << "\n";
    return version == known_version ? 1 : skipped;
  }
  check_that_it_can_fail(*target);
  const bool can_compile = driver_library_opens();

  Totals sum;
  for (const Mode& mode :
       {Mode{"f16", DType::f16, false}, Mode{"bf16", DType::bf16, false}, Mode{"tf32", DType::f32, true}, Mode{"f32", DType::f32, false}}) {
    if (type != "all" && type != mode.name) continue;
    for (int64_t batch : batches) {
      const double start = seconds();
      const GraphList list = graphs_of_resnet50(batch, mode);
      Totals t;
      std::map<std::string, Graph> patterns;
      const auto visit = [&](const std::vector<Graph>& graphs) {
        for (const Graph& g : graphs) {
          check_offers(g, *target, t);
          patterns.emplace(pattern(g), g);
        }
      };
      visit(list.convolutions);
      visit(list.dense);
      // BatchNorm has the same graphs whether products may use TF32 or not.
      if (mode.tf32) {
      } else if (can_compile) {
        visit(list.batch_norms);
      } else {
        t.skipped += static_cast<int>(list.batch_norms.size());
      }
      const double asked = seconds() - start;
      for (const auto& [unused, g] : patterns) check_plan(g, *target, t);
      std::printf(
          "%-5s batch %-4lld %4d graphs asked in %5.1f s, %2zu patterns in %5.1f s: %d plans complete and made again (%d also from "
          "cuDNN's words), %d compiled; largest workspace %.1f MiB\n",
          mode.name, static_cast<long long>(batch), t.graphs, asked, patterns.size(), seconds() - start - asked, t.complete, t.from_words,
          t.compiled, mebibytes(t.largest_workspace));
      std::fflush(stdout);
      sum.graphs += t.graphs, sum.without_plan += t.without_plan, sum.skipped += t.skipped, sum.complete += t.complete,
          sum.compiled += t.compiled;
    }
  }
  std::cout
      << "plans: " << sum.graphs << " graphs run, " << sum.without_plan << " without a plan, " << sum.skipped << " skipped"
      << (sum.skipped > 0
              ? " (libcuda.so.1, the toolkit's stub at least, is not on the loader's path: engines that compile their code are not offered)"
              : "")
      << "; " << sum.complete << " plans complete, " << sum.compiled << " complete up to loading onto a card\n";
  return sum.without_plan > 0 || (sum.skipped > 0 && version == known_version) ? 1 : 0;
}

}  // namespace

int main(int count, char** arguments) {
  try {
    const std::string type = count > 2 ? arguments[2] : "";
    if (count < 4 || (type != "f16" && type != "bf16" && type != "tf32" && type != "f32" && type != "all"))
      fail_usage("usage: cudnn_plan_check DEVICE_PROPERTIES.json f16|bf16|tf32|f32|all BATCH...");
    std::ifstream file(arguments[1]);
    const std::string json{std::istreambuf_iterator<char>(file), {}};
    DURA_CHECK(!json.empty(), arguments[1], " cannot be read");
    std::vector<int64_t> batches;
    for (int i = 3; i < count; ++i) batches.push_back(std::stoll(arguments[i]));
    return check(json, type, batches);
  } catch (const std::exception& e) {
    std::cerr << e.what() << "\n";
    return 1;
  }
}
