// The architecture, kept by a test: which folder may include what (the table in docs/architecture.md). A layer that reaches upwards, a
// dependency that spreads beyond its folder, a thread outside of the two places that may have one: each is an #include line before it is
// anything else.
#include "tests/catch.h"

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
bool is_one_of(const std::string& s, const std::set<std::string>& all) { return all.count(s) != 0; }

// What a folder may include of the project itself: prefixes of paths.
const std::map<std::string, std::vector<std::string>> project_includes = {
    {"engine", {"engine/"}},
    {"layers", {"engine/", "layers/"}},
    {"models", {"engine/", "layers/", "models/"}},
    {"data",
     {"engine/backend.h", "engine/check.h", "engine/crc32.h", "engine/dtype.h", "engine/file.h", "engine/formula.h", "engine/log.h",
      "engine/parallel.h", "engine/random.h", "engine/sha256.h", "engine/shape.h", "engine/tensor.h", "data/"}},
    {"weights", {"engine/", "layers/module.h", "weights/"}},
    {"apps", {"engine/", "layers/", "models/", "data/", "weights/", "apps/"}},
    {"tests", {"engine/", "layers/", "models/", "data/", "weights/", "apps/", "tests/"}},
};

// Where a dependency, or a part of the standard library that we keep in few hands, may appear. `file` is the including file.
std::string forbidden_system_include(const std::string& file, const std::string& header) {
  const std::string folder = folder_of(file);
  const bool source = ends_with(file, ".cpp"), test = folder == "tests";
  const bool cpu = starts_with(file, "engine/cpu/"), cuda = starts_with(file, "engine/cuda/");
  if (starts_with(header, "Eigen/")) return cpu && source ? "" : "Eigen belongs to the .cpp files of engine/cpu";
  if (header == "immintrin.h") return starts_with(file, "engine/cpu/simd_") ? "" : "SIMD intrinsics belong to engine/cpu/simd_*";
  if (starts_with(header, "stb_")) return folder == "data" && source ? "" : "stb belongs to the image codec in data";
  if (starts_with(header, "nlohmann/"))
    return (source && is_one_of(folder, {"weights", "apps", "tests"})) || file == "apps/json_values.h"
               ? ""
               : "JSON belongs to .cpp files of weights and apps";
  if (starts_with(header, "CLI/")) return source && folder == "apps" ? "" : "CLI11 belongs to .cpp files of apps";
  if (starts_with(header, "torch/") || starts_with(header, "ATen/") || starts_with(header, "c10/"))
    return starts_with(file, "tests/bench_libtorch/") ? "" : "LibTorch belongs to tests/bench_libtorch, a project of its own";
  if (starts_with(header, "catch2/")) return test ? "" : "Catch2 belongs to tests";
  if (starts_with(header, "cuda") || starts_with(header, "cudnn") || starts_with(header, "cublas"))
    return cuda ? "" : "CUDA belongs to engine/cuda";
  if (is_one_of(header, {"thread", "future", "omp.h", "pthread.h"}))
    return is_one_of(file, {"engine/parallel.cpp", "data/loader.cpp"}) || test
               ? ""
               : "threads belong to engine/parallel.cpp and data/loader.cpp";
  if (header == "random") return "random numbers come from engine/random.h, by counter";
  if (header == "iostream") return is_one_of(folder, {"apps", "tests"}) ? "" : "the library never prints; it has engine/log.h";
  if (header.find('/') != std::string::npos && !starts_with(header, "sys/")) return "an unknown dependency";
  return "";
}

// Why `file` may not have this #include line; empty where it may.
std::string violation(const std::string& file, const std::string& header, bool quoted) {
  if (!quoted) return forbidden_system_include(file, header);
  const auto allowed = project_includes.find(folder_of(file));
  if (allowed == project_includes.end()) return "a folder that the table does not know";
  for (const std::string& prefix : allowed->second)
    if (starts_with(header, prefix)) return "";
  return folder_of(file) + " may not include this";
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
  const fs::path root(DURA_SOURCE_DIR);
  for (const auto& [folder, unused] : project_includes)
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      const std::string extension = entry.path().extension().string();
      if (!is_one_of(extension, {".h", ".cpp", ".cu", ".c"})) continue;
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
    if (i.quoted && !fs::exists(fs::path(DURA_SOURCE_DIR) / i.header))
      FAIL_CHECK(i.file << " includes " << i.header << ", which is not a path from the project's root");
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
    if (!starts_with(file, "engine/cuda/")) FAIL_CHECK(file << " brings in a header of CUDA");
}

TEST_CASE("files compiled for a SIMD instruction set include nothing that could leave wide code in other files", "[includes]") {
  // An inline function of the standard library or Eigen compiled there would be kept by the linker and crash on a processor without that
  // set.
  for (const Include& i : all_includes()) {
    if (!starts_with(i.file, "engine/cpu/simd_")) continue;
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
      {"engine/tape.cpp", "layers/module.h", true},
      {"layers/conv.h", "models/resnet.h", true},
      {"models/resnet.cpp", "data/image.h", true},
      {"data/loader.cpp", "engine/tape.h", true},
      {"data/loader.cpp", "engine/ops.h", true},
      {"weights/pth.cpp", "layers/layers.h", true},
      {"engine/tape.cpp", "apps/fit.h", true},
      {"engine/tape.cpp", "Eigen/Core", false},
      {"engine/cpu/cpu_backend.h", "Eigen/Core", false},
      {"engine/cpu/pool.cpp", "immintrin.h", false},
      {"weights/map.h", "nlohmann/json.hpp", false},
      {"data/manifest.cpp", "nlohmann/json.hpp", false},
      {"weights/convert.cpp", "CLI/CLI.hpp", false},
      {"engine/backend.cpp", "cuda_runtime.h", false},
      {"engine/memory.cpp", "thread", false},
      {"engine/cpu/pool.cpp", "omp.h", false},
      {"data/split.cpp", "random", false},
      {"weights/pth.cpp", "iostream", false},
      {"engine/tape.cpp", "boost/format.hpp", false},
      {"tests/op_harness.h", "torch/torch.h", false},
      {"apps/train.cpp", "tests/reference.h", true},
      {"tools/x.cpp", "engine/tape.h", true},
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
