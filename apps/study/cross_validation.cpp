#include "apps/study/cross_validation.h"

#include "apps/evaluation/fold_summary.h"
#include "apps/program/run_directory.h"
#include "apps/study/child_runs.h"
#include "data/audit/split.h"
#include "engine/base/file.h"
#include "engine/base/log.h"

namespace dura {
namespace {

// Part after part is split off from what is left, so that each has its share of every class.
std::vector<std::vector<int64_t>> deal(const Manifest& manifest, std::vector<int64_t> rows, const ClassNames& classes, int64_t folds,
                                       uint64_t seed) {
  std::vector<std::vector<int64_t>> parts;
  Manifest dealt = manifest;
  for (int64_t left = folds; left > 1; --left) {
    assign_splits(dealt, rows, classes, {.seed = seed, .test = 1.0 / static_cast<double>(left)});
    std::vector<int64_t> part, rest;
    for (const int64_t row : rows) (dealt.rows[static_cast<size_t>(row)].split == "test" ? part : rest).push_back(row);
    parts.push_back(part);
    rows = rest;
  }
  parts.push_back(rows);
  return parts;
}

}  // namespace

std::vector<Manifest> fold_manifests(const Manifest& manifest, const std::vector<int64_t>& rows, const ClassNames& classes, int64_t folds,
                                     uint64_t seed) {
  if (folds < 3) fail_usage("--folds ", folds, ": at least 3 are needed, for training, validation and test");
  const std::vector<std::vector<int64_t>> parts = deal(manifest, rows, classes, folds, seed);
  std::vector<Manifest> all;
  for (size_t f = 0; f < parts.size(); ++f) {
    Manifest m = manifest;
    for (ManifestRow& row : m.rows) row.split = "held_out";
    for (size_t p = 0; p < parts.size(); ++p)
      for (const int64_t row : parts[p])
        m.rows[static_cast<size_t>(row)].split = p == f ? "test" : p == (f + 1) % parts.size() ? "val" : "train";
    all.push_back(std::move(m));
  }
  return all;
}

int cross_validate(const Program& program, const TrainOptions& options) {
  const StopRequest stop;
  program.child_arguments();  // refuses what the runs cannot be given, before any is made
  const RunDirectory run(options.out, options.resume);
  if (options.resume) require_same_settings(run.path(), program);
  const DataSplits data = open_splits(options.data);
  data.require(Split::train, options.data);
  std::vector<int64_t> rows = data.rows[Split::train];
  rows.insert(rows.end(), data.rows[Split::val].begin(), data.rows[Split::val].end());
  const std::vector<Manifest> manifests =
      fold_manifests(data.manifest, rows, data.classes, options.folds, static_cast<uint64_t>(options.seed));
  log_info(rows.size(), " training and validation images in ", options.folds, " parts; ", data.rows[Split::test].size(),
           " test images stay out");
  run.write("config.toml", program.resolved_configuration());
  run.write_provenance(
      {{"manifest", data.manifest.name}, {"manifest_sha256", data.manifest_sha256}, {"folds", std::to_string(options.folds)}});

  std::vector<FoldFile> evaluations;
  for (size_t f = 0; f < manifests.size(); ++f) {
    const std::filesystem::path folder = run.path() / concat("fold", f + 1), evaluation = folder / "evaluation_test.json";
    ChildRun fold = {
        .train = options, .splits = {"test"}, .precision = options.precision, .title = concat("fold ", f + 1, "/", options.folds)};
    fold.train.folds = 0;
    fold.train.out = folder.string();
    fold.train.data.manifest = (folder / "manifest.csv").string();
    std::filesystem::create_directories(folder);
    write_manifest(fold.train.data.manifest, manifests[f]);
    if (!make_run(program, fold, stop)) {
      log_warning("interrupted. Go on with the same command and --resume.");
      return stop.exit_code();
    }
    evaluations.push_back({evaluation.string(), read_text_file(evaluation, uint64_t{64} << 20)});
  }
  const FoldSummary summary = summarise_folds(evaluations);
  log_info("scores of ", options.folds, " folds, each on pictures of patients that its model has not seen:\n", fold_summary_text(summary));
  run.write("folds.json", fold_summary_json(summary));
  return 0;
}

}  // namespace dura
