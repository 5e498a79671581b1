#include "apps/study/search.h"

#include <algorithm>
#include <iostream>
#include <map>
#include <numeric>
#include <optional>

#include "apps/program/toml.h"
#include "apps/study/child_runs.h"
#include "apps/study/cross_validation.h"
#include "apps/study/shared_runs.h"
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

namespace {

// Which run is next, and what came of those that ended. A run's number is fold * settings + setting.
class SearchPlan {
 public:
  SearchPlan(SearchTable& table, const SearchOptions& options) : table_(table), options_(options), budget_(options.budget_hours) {
    found_.resize(table.rows.size());
    cut_short_.resize(table.rows.size());
  }

  int64_t settings() const { return std::ssize(table_.rows); }
  SearchRow& row_of(int64_t run) { return table_.rows[static_cast<size_t>(run % settings())]; }
  int64_t fold_of(int64_t run) const { return run / settings(); }
  fs::path folder_of(int64_t run) { return fs::path(options_.out) / row_of(run).name / concat("fold", fold_of(run) + 1); }
  std::string title_of(int64_t run) { return concat("fold ", fold_of(run) + 1, " of ", options_.folds, ": ", row_of(run).name); }
  int64_t left() const { return left_; }

  std::optional<int64_t> next() {
    for (; at_ < options_.folds * settings(); ++at_) {
      if (at_ == settings() && options_.keep > 0) {
        if (at_work_ > 0) return {};  // which settings go on is not known before all have their first fold
        keep_the_best();
      }
      SearchRow& row = row_of(at_);
      const auto i = static_cast<size_t>(at_ % settings());
      if (row.left_out || !row.failure.empty() || cut_short_[i]) continue;
      if (run_has_scores(folder_of(at_), "test")) {
        ++at_work_;
        ended(at_, "");
      } else if (!budget_.allows_another()) {
        ++left_;
        cut_short_[i] = true;
      } else {
        budget_.begins(at_);
        ++at_work_;
        log_info(title_of(at_));
        return at_++;
      }
    }
    return {};
  }

  void ended(int64_t run, std::string failure) {
    --at_work_;
    budget_.ends(run);
    SearchRow& row = row_of(run);
    std::map<int64_t, FoldResult>& found = found_[static_cast<size_t>(run % settings())];
    try {
      if (failure.empty()) found[fold_of(run)] = fold_result(folder_of(run), table_.rare);
    } catch (const Error& e) {
      failure = e.what();
    }
    // In the order of folds, whatever the order in which they end.
    row.folds.clear();
    for (auto f = found.find(0); f != found.end() && f->first == std::ssize(row.folds); ++f) row.folds.push_back(f->second);
    if (failure.empty()) {
      log_info("  ", title_of(run), ": ", table_.rare, " F1 ", found[fold_of(run)].f1, ", AUC ", found[fold_of(run)].auc);
    } else {
      row.failure = failure;
      log_warning(row.name, " is given up: ", failure);
    }
    write_search(options_.out, table_);  // after each run: what is there can be read while the rest goes on
  }

 private:
  void keep_the_best() {
    const std::vector<size_t> order = table_.order();
    for (size_t i = static_cast<size_t>(options_.keep); i < order.size(); ++i) table_.rows[order[i]].left_out = true;
  }

  SearchTable& table_;
  const SearchOptions& options_;
  RunBudget budget_;
  std::vector<std::map<int64_t, FoldResult>> found_;  // by setting and fold
  std::vector<bool> cut_short_;                       // by setting: the budget left out one of its folds
  int64_t at_ = 0, at_work_ = 0, left_ = 0;
};

}  // namespace

int search(const Program& program, const SearchOptions& o, Communicator& ranks) {
  const StopRequest stop;
  program.child_arguments();  // refuses what the runs cannot be given, before the first
  const DataSplits data = open_splits(o.data, {}, ranks);
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
  std::vector<std::string> files = o.settings;
  files.insert(files.end(), {o.weights, o.base});
  prepare_shared_study(program, ranks, out, files, data);
  const auto manifest_of = [&](int64_t fold) { return (out / concat("fold", fold + 1, ".csv")).string(); };
  for (int64_t f = 0; f < o.folds && ranks.is_first(); ++f) write_manifest(manifest_of(f), manifests[static_cast<size_t>(f)]);

  SearchPlan plan(table, o);
  const auto make = [&](int64_t run, const std::function<void()>& meanwhile) {
    ChildRun child = {.train = training_of(o, base, plan.row_of(run).changes, manifest_of(plan.fold_of(run))),
                      .splits = {"test"},
                      .precision = "f32",
                      .title = plan.title_of(run),
                      .threshold = "f1",
                      .beside = ranks.ranks_on_own_host()};
    child.train.out = plan.folder_of(run).string();
    return make_run(program, child, stop, meanwhile);
  };
  const SharedRuns runs{.next = [&] { return plan.next(); },
                        .make = make,
                        .ended = [&](int64_t run, const std::string& failure) { plan.ended(run, failure); }};
  if (!share_out(ranks, runs, stop)) {
    log_warning("interrupted. The same command goes on from here.");
    return stop.exit_code();
  }
  if (!ranks.is_first()) return 0;
  if (plan.left() > 0)
    log_warning("the budget of ", o.budget_hours, " hours would be exceeded: ", plan.left(),
                " runs at least are left. The same command goes on with them.");
  std::cout << search_text(table) << std::flush;
  log_info("wrote ", (out / "search.html").string(), ", search.csv and search.json beside it");
  return 0;
}

}  // namespace dura
