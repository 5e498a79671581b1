#include "apps/program/resume_settings.h"

#include <map>
#include <set>
#include <vector>

#include "apps/program/toml.h"
#include "engine/base/check.h"
#include "engine/base/file.h"

namespace dura {
namespace {

std::map<std::string, std::string> settings(const std::string& toml, const std::string& name) {
  static const std::set<std::string> free = {"config",         "resume",        "out",           "sheet",
                                             "find-lr",        "no-capture",    "threads",       "trace",
                                             "feature-budget", "phase1-epochs", "phase2-epochs", "patience"};
  std::map<std::string, std::string> all, bound;
  for (const TomlEntry& e : parse_toml(toml, name)) all[e.key] = e.is_list ? toml_list(e.values) : e.values.at(0);
  const bool cosine = all.count("schedule") && all.at("schedule") == "cosine";
  for (const auto& [key, value] : all)
    if (!free.count(key) || (cosine && key.ends_with("-epochs"))) bound[key] = value;
  return bound;
}

}  // namespace

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
