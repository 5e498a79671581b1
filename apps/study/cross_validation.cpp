#include "apps/study/cross_validation.h"

#include <optional>

#include "apps/evaluation/fold_summary.h"
#include "apps/program/run_directory.h"
#include "apps/study/child_runs.h"
#include "apps/study/shared_runs.h"
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

int cross_validate(const Program& program, const TrainOptions& options, Communicator& ranks) {
  const StopRequest stop;
  program.child_arguments();  // refuses what the runs cannot be given, before any is made
  std::optional<RunDirectory> run;
  if (ranks.is_first()) run.emplace(options.out, options.resume);
  if (options.resume && run) require_same_settings(run->path(), program);
  const DataSplits data = open_splits(options.data, {}, ranks);
  data.require(Split::train, options.data);
  std::vector<int64_t> rows = data.rows[Split::train];
  rows.insert(rows.end(), data.rows[Split::val].begin(), data.rows[Split::val].end());
  const std::vector<Manifest> manifests =
      fold_manifests(data.manifest, rows, data.classes, options.folds, static_cast<uint64_t>(options.seed));
  log_info(rows.size(), " training and validation images in ", options.folds, " parts; ", data.rows[Split::test].size(),
           " test images stay out");
  const std::filesystem::path out = options.out;
  prepare_shared_study(program, ranks, out, {options.weights}, data);
  if (run) {
    run->write("config.toml", program.resolved_configuration());
    run->write_provenance(
        {{"manifest", data.manifest.name}, {"manifest_sha256", data.manifest_sha256}, {"folds", std::to_string(options.folds)}});
  }

  const auto folder_of = [&](int64_t fold) { return out / concat("fold", fold + 1); };
  const auto make = [&](int64_t f, const std::function<void()>& meanwhile) {
    ChildRun fold = {.train = options,
                     .splits = {"test"},
                     .precision = options.precision,
                     .title = concat("fold ", f + 1, "/", options.folds),
                     .beside = ranks.ranks_on_own_host()};
    fold.train.folds = 0;
    fold.train.out = folder_of(f).string();
    fold.train.data.manifest = (folder_of(f) / "manifest.csv").string();
    std::filesystem::create_directories(folder_of(f));
    write_manifest(fold.train.data.manifest, manifests[static_cast<size_t>(f)]);
    return make_run(program, fold, stop, meanwhile);
  };
  int64_t begun = 0;
  const auto next = [&] {
    // What other ranks do they do silently; a run of this one says so itself.
    if (begun < options.folds && ranks.size() > 1) log_info("fold ", begun + 1, "/", options.folds);
    return begun < options.folds ? std::optional(begun++) : std::nullopt;
  };
  const auto ended = [](int64_t, const std::string& failure) { DURA_CHECK(failure.empty(), failure); };
  if (!share_out(ranks, {.next = next, .make = make, .ended = ended}, stop)) {
    log_warning("interrupted. Go on with the same command and --resume.");
    return stop.exit_code();
  }
  if (!run) return 0;
  std::vector<FoldFile> evaluations;
  for (int64_t f = 0; f < options.folds; ++f) {
    const std::filesystem::path evaluation = folder_of(f) / "evaluation_test.json";
    evaluations.push_back({evaluation.string(), read_text_file(evaluation, uint64_t{64} << 20)});
  }
  const FoldSummary summary = summarise_folds(evaluations);
  log_info("scores of ", options.folds, " folds, each on pictures of patients that its model has not seen:\n", fold_summary_text(summary));
  run->write("folds.json", fold_summary_json(summary));
  return 0;
}

}  // namespace dura
