// Plans of a card between processes, on several threads, and chosen by their times, on stand-ins.
#include "tests/support/catch.h"

#include <cstdlib>
#include <filesystem>

#include "engine/base/file.h"
#include "engine/base/parallel.h"
#include "engine/cuda/card/card_driver.h"
#include "engine/cuda/card/cudnn_plan.h"
#include "engine/devices/cuda_devices.h"
#include "tests/engine/cuda/card/stand_in/faultless.h"
#include "tests/engine/cuda/card/stand_in/stand_in.h"
#include "tests/support/log_lines.h"
#include "tests/support/small_training.h"
#include "tests/support/temporary_folder.h"

using namespace dura;
using cuda::Driver;
using cuda::Graph;
using test::LogLines;
namespace stand_in = cuda::stand_in;

namespace {

Graph graph_of(int64_t channels, DType dtype = DType::f16) {
  return cuda::conv_graph({.N = 1, .H = 2, .W = 2, .C = channels, .K = 8, .R = 1, .S = 1, .P = 2, .Q = 2}, dtype, {.relu = true});
}

// A driver of a new process, as far as plans are concerned.
std::unique_ptr<Driver> driver(const std::filesystem::path& plans, bool tune = false) {
  setenv("DURA_CUDA_PLANS", plans.c_str(), 1);
  setenv("DURA_CUDA_TUNE", tune ? "1" : "0", 1);
  auto made = cuda::make_card_driver();
  setenv("DURA_CUDA_PLANS", "off", 1);
  unsetenv("DURA_CUDA_TUNE");
  stand_in::plan_costs() = {};
  return made;
}

// The engine that computes the graph.
int64_t engine_of(Driver& d, const Graph& graph) {
  std::vector<void*> memory, addresses;
  const auto allocate = [&](size_t bytes) { return memory.emplace_back(d.allocate(bytes)); };
  for (const cuda::GraphTensor& t : graph.tensors)
    if (!t.is_virtual) addresses.push_back(allocate(t.bytes()));
  void* workspace = allocate(std::max<size_t>(d.workspace_bytes(graph), 1));
  stand_in::engines().clear();
  const cuda::Stream stream = d.create_stream();
  d.run(graph, addresses, workspace, stream);
  d.synchronize(stream);
  for (void* m : memory) d.release(m);
  return stand_in::engines().begin()->second;
}

std::vector<std::filesystem::path> files_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> all;
  for (const auto& f : std::filesystem::directory_iterator(folder)) all.push_back(f.path());
  std::sort(all.begin(), all.end());
  return all;
}
std::string contents(const std::filesystem::path& path) { return read_text_file(path, 1 << 20); }

// How many objects of each kind are alive.
std::map<std::string, int64_t> objects() {
  std::map<std::string, int64_t> all = stand_in::alive();
  std::erase_if(all, [](const auto& kind) { return kind.second == 0; });
  return all;
}

}  // namespace

TEST_CASE("the next process takes plans from the folder: no heuristics are asked, nothing is compiled, the engine is the same",
          "[card][plans]") {
  const stand_in::Faultless faultless;
  const LogLines said;
  const TemporaryFolder folder;
  const auto first = driver(folder.path());
  CHECK(engine_of(*first, graph_of(8)) == 4);
  CHECK(stand_in::plan_costs().heuristics > 0);
  CHECK(stand_in::plan_costs().compiled > 0);
  const auto second = driver(folder.path());
  CHECK(engine_of(*second, graph_of(8)) == 4);
  CHECK(second->workspace_bytes(graph_of(8)) == first->workspace_bytes(graph_of(8)));
  CHECK(stand_in::plan_costs().heuristics == 0);
  CHECK(stand_in::plan_costs().compiled == 0);
  CHECK(engine_of(*second, graph_of(16)) == 4);
  CHECK(stand_in::plan_costs().compiled > 0);
  CHECK(files_in(folder.path()).size() == 2);
  const auto without = driver("off");
  CHECK(engine_of(*without, graph_of(8)) == 4);
  CHECK(stand_in::plan_costs().compiled > 0);
  CHECK(said.lines.empty());
}

TEST_CASE("plans that cannot be used are told once, made anew and written again", "[card][plans]") {
  const TemporaryFolder folder;
  driver(folder.path())->make_ready({graph_of(8), graph_of(16)});
  const auto files = files_in(folder.path());
  REQUIRE(files.size() == 2);
  const cuda::PlanFolder plans(folder.path(), contents(files[0]).substr(84, contents(files[0]).find('\n', 77) - 84));
  const Graph graph = graph_of(8);
  const cuda::KeptPlan good = plans.find(graph).value();
  CHECK_FALSE(good.serialized.empty());
  const auto rewritten = [&](const std::string& reason) {
    const LogLines said;
    const auto d = driver(folder.path());
    d->make_ready({graph_of(8), graph_of(16)});
    CHECK(engine_of(*d, graph) == 4);
    CHECK(stand_in::plan_costs().compiled > 0);
    REQUIRE(said.lines.size() == 1);
    CHECK_THAT(said.lines[0], Catch::Contains("A plan that was kept cannot be used") && Catch::Contains(reason));
    const cuda::KeptPlan again = plans.find(graph).value();
    CHECK(again.choice == good.choice);
    CHECK_FALSE(again.measured);
  };
  for (const auto& f : files) write_file_atomically(f, contents(f).substr(0, 200));
  rewritten("is damaged");
  std::filesystem::copy_file(plans.file_of(graph_of(16)), plans.file_of(graph), std::filesystem::copy_options::overwrite_existing);
  rewritten("another graph, library or card");
  plans.keep(graph, {.choice = good.choice, .measured = true, .serialized = "words of another cuDNN"});
  rewritten("cuDNN, plan: CUDNN_STATUS_BAD_PARAM");
  // Engines whose results differ from run to run, that do not exist, or that want too much workspace.
  plans.keep(graph, {.choice = {.engine = 0, .knobs = {}}});
  rewritten("its results differ from run to run");
  plans.keep(graph, {.choice = {.engine = 2, .knobs = {}}});
  rewritten("bytes of workspace");
  stand_in::complaints().clear();
  plans.keep(graph, {.choice = {.engine = 77, .knobs = {}}});
  rewritten("cuDNN, engine: CUDNN_STATUS_BAD_PARAM");
  CHECK(stand_in::complaints() == std::vector<std::string>{"cuDNN: there is no such engine"});
  stand_in::complaints().clear();
}

TEST_CASE("where plans cannot be kept, that is said once and the card goes on", "[card][plans]") {
  const stand_in::Faultless faultless;
  const TemporaryFolder folder;
  write_file_atomically(folder / "file", "in the way");
  const LogLines said;
  const auto d = driver(folder / "file");
  CHECK(engine_of(*d, graph_of(8)) == 4);
  CHECK(engine_of(*d, graph_of(16)) == 4);
  REQUIRE(said.lines.size() == 1);
  CHECK_THAT(said.lines[0], Catch::Contains("A plan cannot be kept"));
}

TEST_CASE("DURA_CUDA_TUNE=1 takes the engine that is the fastest on the card, and later processes do the same", "[card][plans]") {
  const stand_in::Faultless faultless;
  const TemporaryFolder folder;
  CHECK(engine_of(*driver(folder.path()), graph_of(8)) == 4);
  const auto before = objects();
  {
    const LogLines said;
    const auto tuning = driver(folder.path(), true);
    CHECK(engine_of(*tuning, graph_of(8)) == 5);  // half as long, though cuDNN offers it last
    REQUIRE(said.lines.size() == 1);
    CHECK_THAT(said.lines[0], Catch::Contains("engine 5, knobs takes 1 ms, cuDNN's first choice 2 ms"));
    CHECK(engine_of(*tuning, graph_of(8, DType::f32)) == 5);  // the one that keeps f32; nothing to measure
  }
  for (const bool tune : {false, true}) {
    const auto next = driver(folder.path(), tune);
    CHECK(engine_of(*next, graph_of(8)) == 5);
    CHECK(engine_of(*next, graph_of(8, DType::f32)) == 5);
    CHECK(stand_in::plan_costs().compiled == 0);
  }
  CHECK(objects() == before);
  CHECK_THROWS_WITH((setenv("DURA_CUDA_TUNE", "yes", 1), cuda::make_card_driver()), Catch::Contains("It must be 0"));
  unsetenv("DURA_CUDA_TUNE");
}

TEST_CASE("where the card has no memory to measure engines, cuDNN's first choice is taken and measured another time", "[card][plans]") {
  const TemporaryFolder folder;
  const auto tuning = driver(folder.path(), true);
  const size_t memory = stand_in::device().memory_bytes();
  {
    const LogLines said;
    stand_in::device().set_memory_bytes(0);
    CHECK(tuning->supports(graph_of(8)));
    stand_in::device().set_memory_bytes(memory);
    REQUIRE(said.lines.size() == 1);
    CHECK_THAT(said.lines[0], Catch::Contains("are not measured: out of memory"));
  }
  stand_in::complaints().clear(), stand_in::repair();
  CHECK(engine_of(*tuning, graph_of(8)) == 4);
  CHECK(engine_of(*driver(folder.path(), true), graph_of(8)) == 5);
}

TEST_CASE("plans of a step are made side by side before it is planned, each once", "[card][plans]") {
  const stand_in::Faultless faultless;
  const int threads = num_threads();
  set_num_threads(4);
  stand_in::compile_ms() = 20;
  {
    const auto d = driver("off");
    std::vector<Graph> graphs;
    for (int64_t c = 8; c <= 64; c += 8) graphs.push_back(graph_of(c));
    graphs.push_back(graph_of(8));
    d->make_ready(graphs);
    CHECK(stand_in::plan_costs().compiled == 8);
    CHECK(stand_in::plan_costs().at_once > 1);
    for (const Graph& g : graphs) CHECK(engine_of(*d, g) == 4);
    CHECK(stand_in::plan_costs().compiled == 8);
  }
  stand_in::compile_ms() = 0;
  set_num_threads(threads);

  test::SmallTraining net(Device::cuda, DType::bf16, 6);
  stand_in::plan_costs() = {};
  net.step();
  const int64_t compiled = stand_in::plan_costs().compiled;
  CHECK(compiled > 30);
  for (int i = 0; i < 3; ++i) net.step();
  CHECK(stand_in::plan_costs().compiled == compiled);
}
