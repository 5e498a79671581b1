#include "apps/program/run_directory.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "apps/program/program.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/parallel.h"

namespace dura {
namespace {

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.rfind("model name", 0) == 0 && line.find(": ") != std::string::npos) return line.substr(line.find(": ") + 2);
  return "unknown";
}

}  // namespace

RunDirectory::RunDirectory(const std::filesystem::path& path, bool resume) : path_(path) {
  std::error_code error;
  if (!resume && std::filesystem::exists(path / "run.json", error))
    fail_usage(path.string(), " holds a run already. Go on with it by --resume, or choose another --out.");
  std::filesystem::create_directories(path, error);
  DURA_CHECK(!error, path.string(), ": the run directory cannot be made: ", error.message(), ". Choose another --out.");
  const std::filesystem::path probe = path / "write_test";
  write_file_atomically(probe, std::string_view("x"));
  std::filesystem::remove(probe, error);
}

void RunDirectory::write(const std::string& name, const std::string& text) const {
  write_file_atomically(path_ / name, std::string_view(text));
}

void RunDirectory::write_provenance(const std::map<std::string, std::string>& facts, const std::vector<std::string>& allowed_leaks) const {
  nlohmann::ordered_json json;
  json["dura"] = dura_version();
  for (const auto& [key, value] : facts) json[key] = value;
  json["allowed_leaks"] = allowed_leaks;
  json["processor"] = processor_name();
  json["threads"] = num_threads();
  write("run.json", json.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
}

std::vector<std::string> allowed_leaks_of_run(const std::filesystem::path& run) {
  const std::filesystem::path file = run / "run.json";
  if (!std::filesystem::exists(file)) return {};
  try {
    const auto json = nlohmann::json::parse(read_text_file(file, uint64_t{16} << 20));
    return json.contains("allowed_leaks") ? json.at("allowed_leaks").get<std::vector<std::string>>() : std::vector<std::string>();
  } catch (const nlohmann::json::exception& e) {
    fail(file.string(), ": not the JSON that dura-train writes: ", e.what(), ". Restore the file, or move the model away from it.");
  }
}

}  // namespace dura
