#include "apps/study/search.h"

#include <algorithm>
#include <chrono>
#include <iostream>
#include <numeric>

#include "apps/program/toml.h"
#include "apps/study/child_runs.h"
#include "apps/study/cross_validation.h"
#include "data/set/csv.h"
#include "engine/base/file.h"
#include "engine/base/log.h"

namespace dura {
namespace {

namespace fs = std::filesystem;
constexpr uint64_t max_settings_bytes = uint64_t{1} << 20;

double mean(const std::vector<FoldResult>& folds, double FoldResult::*value) {
  double sum = 0;
  for (const FoldResult& f : folds) sum += f.*value;
  return folds.empty() ? NAN : sum / static_cast<double>(folds.size());
}

StudySettings settings_of(const std::string& file) {
  StudySettings settings;
  for (const TomlEntry& entry : parse_toml(read_text_file(file, max_settings_bytes), file)) settings[entry.key] = entry.values;
  return settings;
}

// What a run is told: the base, what the setting changes in it, then the search's own.
TrainOptions training_of(const SearchOptions& o, const StudySettings& base, const StudySettings& changes, const std::string& manifest) {
  TrainOptions train;
  OptionSet options("dura-train");
  train.declare(options);
  for (const StudySettings* settings : {&base, &changes})
    for (const auto& [key, values] : *settings) options.set(key, values);
  train.data = o.data;
  train.data.manifest = manifest;
  train.folds = 0, train.resume = false;
  if (!o.weights.empty()) train.weights = o.weights;
  return train;
}

FoldResult fold_result(const fs::path& folder, const std::string& rare) {
  const RareScores scores = rare_scores(folder / "evaluation_test.json", rare);
  FoldResult result = {.f1 = scores.f1, .auc = scores.auc};
  const CsvTable history = read_csv(folder / "history.csv");
  const size_t seconds = history.column("seconds", "Remove the run's folder and search again.");
  for (const CsvRow& row : history.rows) result.seconds += std::strtod(row.fields[seconds].c_str(), nullptr);
  return result;
}

}  // namespace

double SearchRow::mean_f1() const { return mean(folds, &FoldResult::f1); }
double SearchRow::mean_auc() const { return mean(folds, &FoldResult::auc); }
double SearchRow::standard_error() const {
  const auto n = static_cast<double>(folds.size());
  if (folds.size() < 2) return 0;
  double squares = 0;
  for (const FoldResult& f : folds) squares += (f.f1 - mean_f1()) * (f.f1 - mean_f1());
  return std::sqrt(squares / (n - 1) / n);
}
double SearchRow::hours() const {
  double seconds = 0;
  for (const FoldResult& f : folds) seconds += f.seconds;
  return seconds / 3600;
}

std::vector<size_t> SearchTable::order() const {
  std::vector<size_t> order(rows.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto key = [&](size_t i) {
    const SearchRow& r = rows[i];
    const bool all = std::ssize(r.folds) == folds;
    const double value = all ? r.score() : r.mean_f1();
    return std::pair{all ? 2 : r.folds.empty() ? 0 : 1, std::isnan(value) ? -1 : value};
  };
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return key(a) > key(b); });
  return order;
}

const SearchRow* SearchTable::best() const {
  if (rows.empty()) return nullptr;
  const SearchRow& first = rows[order().front()];
  return std::ssize(first.folds) == folds ? &first : nullptr;
}

int search(const Program& program, const SearchOptions& o) {
  const StopRequest stop;
  program.child_arguments();  // refuses what the runs cannot be given, before the first
  const DataSplits data = open_splits(o.data);
  data.require(Split::train, o.data);
  SearchTable table{.rare = o.rare.empty() ? data.classes[0] : o.rare, .folds = o.folds, .rows = {}};
  const StudySettings base = o.base.empty() ? StudySettings() : settings_of(o.base);
  for (const std::string& file : o.settings) {
    table.rows.push_back({.name = fs::path(file).stem().string(), .changes = settings_of(file)});
    for (size_t i = 0; i + 1 < table.rows.size(); ++i)
      if (table.rows[i].name == table.rows.back().name) fail_usage("two settings have the name ", table.rows[i].name, ". Rename a file.");
    training_of(o, base, table.rows.back().changes, "");  // refuses an unknown setting before the first run
  }
  std::vector<int64_t> rows = data.rows[Split::train];
  rows.insert(rows.end(), data.rows[Split::val].begin(), data.rows[Split::val].end());
  const std::vector<Manifest> manifests = fold_manifests(data.manifest, rows, data.classes, o.folds, 0);
  log_info(rows.size(), " training and validation images in ", o.folds, " parts; ", data.rows[Split::test].size(), " test images stay out");
  const fs::path out = o.out;
  fs::create_directories(out);

  const auto begin = std::chrono::steady_clock::now();
  const auto hours = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / 3600; };
  int64_t begun = 0, left = 0;
  for (int64_t f = 0; f < o.folds; ++f) {
    const fs::path manifest = out / concat("fold", f + 1, ".csv");
    write_manifest(manifest.string(), manifests[static_cast<size_t>(f)]);
    if (f == 1 && o.keep > 0) {
      const std::vector<size_t> order = table.order();
      for (size_t i = static_cast<size_t>(o.keep); i < order.size(); ++i) table.rows[order[i]].left_out = true;
    }
    for (SearchRow& row : table.rows) {
      if (row.left_out || !row.failure.empty() || std::ssize(row.folds) < f) continue;
      const fs::path folder = out / row.name / concat("fold", f + 1);
      if (!run_has_scores(folder, "test")) {
        // One more run would take what those of this call took on average. The first has no such estimate and always begins.
        if (o.budget_hours > 0 && begun > 0 && hours() * static_cast<double>(begun + 1) / static_cast<double>(begun) > o.budget_hours) {
          ++left;
          continue;
        }
        ++begun;
      }
      ChildRun run = {.train = training_of(o, base, row.changes, manifest.string()),
                      .splits = {"test"},
                      .precision = "f32",
                      .title = concat("fold ", f + 1, " of ", o.folds, ": ", row.name),
                      .threshold = "f1"};
      run.train.out = folder.string();
      try {
        if (!make_run(program, run, stop)) {
          log_warning("interrupted. The same command goes on from here.");
          return stop.exit_code();
        }
        row.folds.push_back(fold_result(folder, table.rare));
        log_info("  ", table.rare, " F1 ", row.folds.back().f1, ", AUC ", row.folds.back().auc);
      } catch (const UsageError&) {
        throw;
      } catch (const Error& e) {
        row.failure = e.what();
        log_warning(row.name, " is given up: ", e.what());
      }
      write_search(out, table);  // after each run: what is there can be read while the rest goes on
    }
  }
  if (left > 0)
    log_warning("the budget of ", o.budget_hours, " hours would be exceeded: ", left,
                " runs at least are left. The same command goes on with them.");
  std::cout << search_text(table) << std::flush;
  log_info("wrote ", (out / "search.html").string(), ", search.csv and search.json beside it");
  return 0;
}

}  // namespace dura
