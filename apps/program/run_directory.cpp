#include "apps/program/run_directory.h"

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "apps/program/program.h"
#include "apps/program/toml.h"
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

std::map<std::string, std::string> settings(const std::string& toml, const std::string& name) {
  static const std::set<std::string> free = {"config",        "resume",     "out",     "sheet",        "comm-timeout",   "comm-bucket",
                                             "find-lr",       "no-capture", "threads", "trace",        "feature-budget", "phase1-epochs",
                                             "phase2-epochs", "patience",   "checked", "cache-budget", "augment-on",     "device-pictures"};
  std::map<std::string, std::string> all, bound;
  for (const TomlEntry& e : parse_toml(toml, name)) all[e.key] = e.is_list ? toml_list(e.values) : e.values.at(0);
  // Through host memory cards' sums have the bytes of exact ones.
  if (all.count("device-sums") && all.at("device-sums") == "host") all["device-sums"] = "exact";
  const bool cosine = all.count("schedule") && all.at("schedule") == "cosine";
  for (const auto& [key, value] : all)
    if (!free.count(key) || (cosine && key.ends_with("-epochs"))) bound[key] = value;
  return bound;
}

}  // namespace

RunDirectory::RunDirectory(const std::filesystem::path& path, bool resume) : path_(path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  DURA_CHECK(!error, path.string(), ": the run directory cannot be made: ", error.message(), ". Choose another --out.");
  if (const std::string holder = lock_.take(path); !holder.empty())
    fail_usage(path.string(), " is the run directory of ", holder, " at this moment. Wait until it has ended, or choose another --out.");
  if (!resume && std::filesystem::exists(path / "run.json", error))
    fail_usage(path.string(), " holds a run already. Go on with it by --resume, or choose another --out.");
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

void require_same_settings(const std::string& saved, const std::string& current, const std::string& saved_name) {
  const auto before = settings(saved, saved_name), now = settings(current, "this command's configuration");
  std::string differences;
  for (const auto& [key, value] : now) {
    const auto found = before.find(key);
    if (found != before.end() && found->second != value) differences += concat("\n  ", key, ": ", value, ", the run has ", found->second);
  }
  if (differences.empty()) return;
  fail_usage("--resume goes on with the settings of the run (", saved_name, "), but these differ:", differences,
             "\nGive the run's settings (--config ", saved_name, " --resume), or choose another --out.");
}

void require_same_settings(const std::filesystem::path& run, const Program& program) {
  const std::filesystem::path configuration = run / "config.toml";
  if (!std::filesystem::exists(configuration)) return;
  program.device();  // a run does not go on on another one
  require_same_settings(read_text_file(configuration, 1 << 20), program.resolved_configuration(), configuration.string());
}

}  // namespace dura
