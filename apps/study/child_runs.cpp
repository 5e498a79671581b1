#include "apps/study/child_runs.h"

#include "apps/evaluation/split_evaluation.h"
#include "engine/base/file.h"
#include "engine/base/log.h"

namespace dura {
namespace {

namespace fs = std::filesystem;

std::string last_line(const fs::path& log) {
  std::string text = read_text_file(log, uint64_t{64} << 20);
  text.erase(text.find_last_not_of('\n') + 1);
  return text.substr(text.rfind('\n') + 1);
}

}  // namespace

bool run_has_scores(const fs::path& folder, const std::string& split) { return fs::exists(folder / concat("evaluation_", split, ".json")); }

bool make_run(const Program& program, ChildRun run, const StopRequest& stop, const std::function<void()>& meanwhile) {
  const fs::path folder = run.train.out, log = folder / "log.txt", model = folder / "model.safetensors";
  fs::create_directories(folder);
  if (run.beside > 1) {
    const auto part_of = [&](uint64_t bytes) { return static_cast<int64_t>((bytes / static_cast<uint64_t>(run.beside)) >> 20); };
    if (run.train.feature_mib < 0) run.train.feature_mib = part_of(default_feature_budget());
    if (run.train.data.cache_mib < 0) run.train.data.cache_mib = part_of(default_cache_bytes(alone()));
  }
  const auto done = [&](const std::string& name, auto options) {
    log_info(run.title, ": ", name, ", log in ", log.string());
    OptionSet child(name);
    options.declare(child);
    const fs::path settings = folder / (name + ".toml");
    write_file_atomically(settings, child.resolved_configuration());
    std::vector<std::string> arguments = program.child_arguments();
    arguments.insert(arguments.end(), {"--config", settings.string()});
    const int code = run_child_program(program_folder() / name, arguments, log, stop, meanwhile);
    DURA_CHECK(code == 0 || stop.received(), name, " ended with exit code ", code, ": ", last_line(log), " (all of it: ", log.string(),
               "). Put it right and go on: what is finished is kept.");
    return !stop.received();
  };
  run.train.resume = fs::exists(folder / "run.json");
  if (!fs::exists(model) && !done("dura-train", run.train)) return false;
  for (const std::string& split : run.splits)
    if (!run_has_scores(folder, split) && !done("dura-evaluate", EvaluateOptions{.data = run.train.data,
                                                                                 .models = {model.string()},
                                                                                 .split = split,
                                                                                 .out = folder.string(),
                                                                                 .threshold = run.threshold,
                                                                                 .precision = run.precision}))
      return false;
  return true;
}

}  // namespace dura
