// dura-compare: is one run better than another on the same test set, or only luckier? And what folds of a cross-validation say together.
#include <filesystem>
#include <iostream>

#include "apps/evaluation/comparison.h"
#include "apps/evaluation/fold_summary.h"
#include "apps/program/program.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/log.h"

namespace {

using namespace dura;

constexpr uint64_t max_evaluation_bytes = uint64_t{64} << 20;

struct CompareOptions {
  std::vector<std::string> runs;
  std::string split = "test", out;
  bool folds = false;
  int64_t resamples = 2000, seed = 0;
};

// A run's folder stands for what dura-evaluate left in it about the split.
std::string file_of_run(const std::string& path, const std::string& name, const std::string& split) {
  if (!std::filesystem::is_directory(path)) return path;
  const std::filesystem::path file = std::filesystem::path(path) / name;
  DURA_CHECK(std::filesystem::exists(file), path, ": there is no ", name, ". dura-evaluate --split ", split, " --out ", path,
             " writes it.");
  return file.string();
}

void show(const std::string& text, const std::string& json, const std::string& out) {
  std::cout << text << std::flush;
  if (out.empty()) return;
  write_file_atomically(out, json);
  log_info("wrote ", out);
}

int summarise(const CompareOptions& o) {
  std::vector<FoldFile> files;
  for (const std::string& run : o.runs) {
    const std::string file = file_of_run(run, concat("evaluation_", o.split, ".json"), o.split);
    files.push_back({file, read_text_file(file, max_evaluation_bytes)});
  }
  const FoldSummary s = summarise_folds(files);
  show(fold_summary_text(s), fold_summary_json(s), o.out);
  return 0;
}

int compare(const CompareOptions& o) {
  if (o.folds) return summarise(o);
  if (o.runs.size() != 2) fail_usage("two runs are compared, ", o.runs.size(), " were given. For the folds of one design: --folds.");
  std::vector<PredictionTable> tables;
  for (const std::string& run : o.runs)
    tables.push_back(read_predictions(file_of_run(run, concat("predictions_", o.split, ".csv"), o.split)));
  const Comparison c = compare_predictions(tables[0], tables[1], {.resamples = o.resamples, .seed = static_cast<uint64_t>(o.seed)});
  show(comparison_text(c), comparison_json(c), o.out);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CompareOptions options;
  Program program(
      {.name = "dura-compare",
       .summary = "Is one evaluated run better than another on the same test set? Or, of cross-validation: mean and spread over folds.",
       .examples = {"dura-compare run_a run_b", "dura-compare run_a/predictions_test.csv run_b/predictions_test.csv --out comparison.json",
                    "dura-compare --folds fold_1 fold_2 fold_3"},
       .results_on_standard_output = true,
       .computes = false});
  program.list("runs", options.runs, "Folders that dura-evaluate wrote to, or its predictions (with --folds: its evaluations)",
               {.required = true});
  program.flag("--folds", options.folds, "The runs are folds of one design: sum them up instead");
  program.text("--split", options.split, "What of a folder: train, val or test", {.choices = {"train", "val", "test"}});
  program.text("--out", options.out, "JSON file for the result");
  program.integer("--resamples", options.resamples, "Draws of the bootstrap", {.min = 100, .max = 1000000});
  program.integer("--seed", options.seed, "For the draws", {.min = 0});
  return program.run(argc, argv, [&] { return compare(options); });
}
