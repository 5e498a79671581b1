// The architecture, kept by a test: which room may include what (the table in docs/architecture.md). A layer that reaches upwards, a
// dependency that spreads beyond its folder, a thread outside of the two places that may have one: each is an #include line before it is
// anything else.
#include "tests/support/catch.h"
#include "tests/support/folders.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace fs = std::filesystem;

namespace {

bool starts_with(const std::string& s, const std::string& prefix) { return s.compare(0, prefix.size(), prefix) == 0; }
bool ends_with(const std::string& s, const std::string& end) {
  return s.size() >= end.size() && s.compare(s.size() - end.size(), end.size(), end) == 0;
}
std::string folder_of(const std::string& path) { return path.substr(0, path.find('/')); }
// The folder that a file lies in: "apps/report", "engine/cuda/sim". Test files have one room.
std::string room_of(const std::string& path) {
  if (folder_of(path) == "tests") return "tests";
  const size_t end = path.rfind('/');
  return end == std::string::npos ? path : path.substr(0, end);
}
bool is_one_of(const std::string& s, const std::set<std::string>& all) { return all.count(s) != 0; }

// What a room may include besides itself: rooms, or single files. A room may include nothing of a room that stands below it, so the list is
// the order of reading, too.
struct Room {
  std::string name;
  std::vector<std::string> may_include;
};
const std::vector<Room>& rooms() {
  static const std::vector<Room> all = [] {
    const std::vector<std::string> core = {"engine/base", "engine/core"};
    const auto with = [](std::vector<std::string> some, const std::vector<std::string>& more) {
      some.insert(some.end(), more.begin(), more.end());
      return some;
    };
    const std::vector<std::string> network = with(core, {"engine/plan", "engine/optim", "layers"});
    const std::vector<std::string> picture = with({"engine/base"}, {"engine/core/backend.h", "engine/core/dtype.h", "engine/core/formula.h",
                                                                    "engine/core/shape.h", "engine/core/tensor.h"});
    const std::vector<std::string> data = {"data/image", "data/set", "data/audit", "data/phantom"};
    const std::vector<std::string> library =
        with(network, with(data, {"weights", "models/network", "models/explain", "models/onnx", "models"}));
    const std::vector<std::string> program =
        with(library, {"engine/devices", "engine/comm", "engine/cpu/cpu_features.h", "engine/cpu/peak.h", "apps/program"});
    const std::vector<std::string> evaluation = with(program, {"apps/metrics", "apps/training", "apps/evaluation"});
    return std::vector<Room>{
        {"engine/base", {}},
        {"engine/core", {"engine/base"}},
        {"engine/plan", core},
        {"engine/optim", core},
        {"engine/comm/mpi", {}},
        {"engine/comm", {"engine/base", "engine/comm/mpi"}},
        {"engine/cpu", core},
        {"engine/cuda", with(core, {"engine/plan", "engine/comm"})},
        {"engine/cuda/sim", with(core, {"engine/comm", "engine/cuda"})},
        {"engine/cuda/card", with(core, {"engine/comm", "engine/cuda"})},
        {"engine/devices", with(core, {"engine/plan", "engine/comm", "engine/cpu", "engine/cuda", "engine/cuda/sim", "engine/cuda/card"})},
        {"layers", with(core, {"engine/optim"})},
        {"data/image", picture},
        {"data/set", with(picture, {"data/image"})},
        {"data/audit", with(picture, {"data/image", "data/set"})},
        {"data/phantom", with(picture, {"data/image", "data/set"})},
        {"weights", with(core, {"layers/module.h"})},
        {"models/network", with(network, {"data/image", "weights"})},
        {"models/explain", with(network, with(data, {"weights", "models/network"}))},
        {"models/onnx", with(network, {"data/image", "weights", "models/network"})},
        {"models", with(network, with(data, {"weights", "models/network", "models/explain"}))},
        {"models/c", with(library, {"engine/devices"})},
        {"apps/program", program},
        {"apps/metrics", {"engine/base", "models/network/answer.h"}},
        {"apps/training", with(program, {"apps/metrics"})},
        {"apps/evaluation", with(program, {"apps/metrics", "apps/training"})},
        {"apps/report", with(program, {"apps/metrics"})},
        {"apps/study", with(evaluation, {"apps/report"})},
        {"apps/keras", with(core, {"weights"})},
        {"apps", with(evaluation, {"apps/report", "apps/study", "apps/keras"})},
        {"tests", with(evaluation, {"models/c", "apps/report", "apps/study", "apps/keras", "engine/cpu", "engine/cuda", "engine/cuda/sim",
                                    "engine/cuda/card"})},
    };
  }();
  return all;
}
const Room* find_room(const std::string& name) {
  for (const Room& r : rooms())
    if (r.name == name) return &r;
  return nullptr;
}

// Where a dependency, or a part of the standard library that we keep in few hands, may appear. `file` is the including file.
std::string forbidden_system_include(const std::string& file, const std::string& header) {
  const std::string folder = folder_of(file);
  const bool source = ends_with(file, ".cpp"), test = folder == "tests";
  const bool cpu = starts_with(file, "engine/cpu/"), cuda = starts_with(file, "engine/cuda/");
  if (starts_with(header, "Eigen/")) return cpu && source ? "" : "Eigen belongs to the .cpp files of engine/cpu";
  if (header == "immintrin.h") return starts_with(file, "engine/cpu/simd_") ? "" : "SIMD intrinsics belong to engine/cpu/simd_*";
  if (starts_with(header, "stb_")) return file == "data/image/codec.cpp" ? "" : "stb belongs to data/image/codec.cpp";
  if (starts_with(header, "nlohmann/"))
    return (source && is_one_of(folder, {"weights", "apps", "tests"})) || file == "apps/program/json_values.h"
               ? ""
               : "JSON belongs to .cpp files of weights and apps";
  if (starts_with(header, "toml++/")) return file == "apps/program/toml.cpp" ? "" : "TOML belongs to apps/program/toml.cpp";
  if (header == "hdf5.h") return file == "apps/keras/hdf5_file.cpp" ? "" : "HDF5 belongs to apps/keras/hdf5_file.cpp";
  if (starts_with(header, "torch/") || starts_with(header, "ATen/") || starts_with(header, "c10/"))
    return starts_with(file, "tests/bench/libtorch/") ? "" : "LibTorch belongs to tests/bench/libtorch, a project of its own";
  if (header == "nccl.h") return file == "engine/cuda/card/nccl_link.cpp" || test ? "" : "NCCL belongs to engine/cuda/card/nccl_link.cpp";
  if (header == "mpi.h") return file == "engine/comm/mpi/mpi_table.cpp" ? "" : "MPI belongs to engine/comm/mpi";
  if (starts_with(header, "catch2/")) return test ? "" : "Catch2 belongs to tests";
  if (starts_with(header, "cuda") || starts_with(header, "cudnn") || starts_with(header, "cublas"))
    return cuda || starts_with(file, "tests/engine/cuda/card/") ? ""
                                                                : "CUDA belongs to engine/cuda, and what stands in for it to its tests";
  if (is_one_of(header, {"thread", "future", "omp.h", "pthread.h"}))
    return is_one_of(file, {"engine/base/parallel.cpp", "data/set/loader.cpp"}) || test
               ? ""
               : "threads belong to engine/base/parallel.cpp and data/set/loader.cpp";
  if (header == "random") return "random numbers come from engine/base/random.h, by counter";
  if (header == "iostream") return is_one_of(folder, {"apps", "tests"}) ? "" : "the library never prints; it has engine/base/log.h";
  if (header.find('/') != std::string::npos && !starts_with(header, "sys/")) return "an unknown dependency";
  return "";
}

// Why `file` may not have this #include line; empty where it may.
std::string violation(const std::string& file, const std::string& header, bool quoted) {
  if (!quoted) return forbidden_system_include(file, header);
  const Room* room = find_room(room_of(file));
  if (!room) return "a folder that the table does not know";
  const std::string from = room_of(header);
  if (from == room->name || is_one_of(from, {room->may_include.begin(), room->may_include.end()}) ||
      is_one_of(header, {room->may_include.begin(), room->may_include.end()}))
    return "";
  return room->name + " may not include this";
}

struct Include {
  std::string file, header;
  bool quoted;
};

bool parse_include(const std::string& line, std::string& header, bool& quoted) {
  size_t i = line.find_first_not_of(" \t");
  if (i == std::string::npos || line[i] != '#') return false;
  i = line.find_first_not_of(" \t", i + 1);
  if (i == std::string::npos || line.compare(i, 7, "include") != 0) return false;
  i = line.find_first_of("<\"", i);
  if (i == std::string::npos) return false;  // an include of a macro's value
  quoted = line[i] == '"';
  const size_t end = line.find(quoted ? '"' : '>', i + 1);
  header = line.substr(i + 1, end - i - 1);
  return true;
}

std::vector<Include> all_includes() {
  std::vector<Include> all;
  const fs::path root(source_folder());
  for (const std::string folder : {"engine", "layers", "data", "weights", "models", "apps", "tests"})
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      const std::string extension = entry.path().extension().string();
      if (!is_one_of(extension, {".h", ".inc", ".cpp", ".cu", ".c"})) continue;
      const std::string file = fs::relative(entry.path(), root).generic_string();
      std::ifstream in(entry.path());
      Include include{file, "", false};
      for (std::string line; std::getline(in, line);)
        if (parse_include(line, include.header, include.quoted)) all.push_back(include);
    }
  return all;
}

}  // namespace

TEST_CASE("every #include keeps to the table of folders and dependencies", "[includes]") {
  const std::vector<Include> all = all_includes();
  CHECK(all.size() > 100);  // the scan found the source tree
  for (const Include& i : all) {
    const std::string why = violation(i.file, i.header, i.quoted);
    if (!why.empty()) FAIL_CHECK(i.file << " includes " << i.header << ": " << why);
    if (i.quoted && !fs::exists(fs::path(source_folder()) / i.header))
      FAIL_CHECK(i.file << " includes " << i.header << ", which is not a path from the project's root");
  }
}

TEST_CASE("the rooms include each other in one direction only", "[includes]") {
  // The table: a room's own place is above all that may include it.
  for (size_t i = 0; i < rooms().size(); ++i)
    for (const std::string& used : rooms()[i].may_include) {
      const std::string name = find_room(used) ? used : room_of(used);
      const auto above = std::find_if(rooms().begin(), rooms().end(), [&](const Room& r) { return r.name == name; });
      INFO(rooms()[i].name << " may include " << used);
      CHECK((above - rooms().begin() < static_cast<std::ptrdiff_t>(i) || name == rooms()[i].name));
    }
  // The tree: every room with code is in the table, and a room of the table has code.
  std::set<std::string> seen;
  for (const Include& i : all_includes()) seen.insert(room_of(i.file));
  for (const std::string& room : seen) {
    INFO(room);
    CHECK(find_room(room) != nullptr);
  }
  for (const Room& r : rooms()) {
    INFO(r.name);
    CHECK(seen.count(r.name) == 1);
  }
}

TEST_CASE("nothing outside of engine/cuda sees a header of CUDA, not even through another header", "[includes]") {
  const std::vector<Include> all = all_includes();
  const auto is_cuda = [](const std::string& header) {
    return starts_with(header, "cuda") || starts_with(header, "cudnn") || starts_with(header, "cublas");
  };
  std::set<std::string> tainted;  // files that bring in a header of CUDA
  for (size_t before = tainted.size() + 1; before != tainted.size();) {
    before = tainted.size();
    for (const Include& i : all)
      // kernel.h has CUDA's headers for nvcc only; the simulated device and its tests compile the kernels without them.
      if (i.file != "engine/cuda/kernel.h" && (i.quoted ? tainted.count(i.header) != 0 : is_cuda(i.header))) tainted.insert(i.file);
  }
  CHECK(tainted.count("engine/cuda/card/cudnn_library.h") == 1);  // the search finds what is there
  for (const std::string& file : tainted)
    if (!starts_with(file, "engine/cuda/") && !starts_with(file, "tests/engine/cuda/card/"))
      FAIL_CHECK(file << " brings in a header of CUDA");
}

TEST_CASE("files compiled for a SIMD instruction set include nothing that could leave wide code in other files", "[includes]") {
  // An inline function of the standard library or Eigen compiled there would be kept by the linker and crash on a processor without that
  // set.
  for (const Include& i : all_includes()) {
    if (!starts_with(i.file, "engine/cpu/simd_") || i.file == "engine/cpu/simd_generic.cpp") continue;  // that one is for every processor
    const bool plain = i.quoted ? starts_with(i.header, "engine/cpu/simd_") : is_one_of(i.header, {"immintrin.h", "cstddef", "stddef.h"});
    if (!plain) FAIL_CHECK(i.file << " includes " << i.header);
  }
}

TEST_CASE("stb is compiled in one file", "[includes]") {
  std::set<std::string> files;
  for (const Include& i : all_includes())
    if (starts_with(i.header, "stb_")) files.insert(i.file);
  CHECK(files.size() == 1);
}

TEST_CASE("the include rules notice what they are there for", "[includes]") {
  const std::vector<Include> wrong = {
      {"engine/core/tape.cpp", "layers/module.h", true},
      {"layers/conv.h", "models/network/resnet.h", true},
      {"models/network/resnet.cpp", "data/set/loader.h", true},
      {"models/network/resnet.cpp", "models/explain/grad_cam.h", true},
      {"apps/report/html.h", "apps/training/fit.h", true},
      {"apps/report/html.h", "apps/evaluation/split_evaluation.h", true},
      {"apps/report/html.h", "apps/study/study.h", true},
      {"apps/metrics/metrics.h", "data/set/dataset.h", true},
      {"data/set/loader.cpp", "engine/core/tape.h", true},
      {"data/set/loader.cpp", "engine/core/ops.h", true},
      {"weights/pth.cpp", "layers/layers.h", true},
      {"engine/core/tape.cpp", "apps/fit.h", true},
      {"engine/core/tape.cpp", "Eigen/Core", false},
      {"engine/cpu/cpu_backend.h", "Eigen/Core", false},
      {"engine/cpu/pool.cpp", "immintrin.h", false},
      {"weights/map.h", "nlohmann/json.hpp", false},
      {"data/set/manifest.cpp", "nlohmann/json.hpp", false},
      {"weights/convert.cpp", "CLI/CLI.hpp", false},
      {"engine/core/backend.cpp", "cuda_runtime.h", false},
      {"engine/core/memory.cpp", "thread", false},
      {"engine/cpu/pool.cpp", "omp.h", false},
      {"data/audit/split.cpp", "random", false},
      {"weights/pth.cpp", "iostream", false},
      {"engine/core/tape.cpp", "boost/format.hpp", false},
      {"tests/engine/op_harness.h", "torch/torch.h", false},
      {"engine/comm/mpi.cpp", "mpi.h", false},
      {"layers/layers.cpp", "engine/comm/communicator.h", true},
      {"apps/train.cpp", "tests/engine/reference.h", true},
      {"apps/training/fit.h", "apps/keras/keras_weights.h", true},
      {"apps/convert.cpp", "hdf5.h", false},
      {"tools/x.cpp", "engine/core/tape.h", true},
  };
  for (const Include& i : wrong) {
    INFO(i.file << " " << i.header);
    CHECK_FALSE(violation(i.file, i.header, i.quoted).empty());
  }
  std::string header;
  bool quoted = false;
  CHECK(parse_include("  #  include <thread>  // why", header, quoted));
  CHECK(header == "thread");
  CHECK_FALSE(quoted);
  CHECK_FALSE(parse_include("// #include \"x.h\"", header, quoted));
}
