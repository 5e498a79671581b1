// dura-evaluate: how good is a model on a split? Nothing is shuffled, every prediction is written beside its file.
#include <algorithm>
#include <filesystem>
#include <iostream>

#include "apps/evaluation/error_analysis.h"
#include "apps/evaluation/split_evaluation.h"
#include "apps/evaluation/adjusted_predictions.h"
#include "apps/program/program.h"
#include "apps/program/run_directory.h"
#include "engine/base/file.h"
#include "engine/base/log.h"
#include "engine/base/sha256.h"

namespace {

using namespace dura;

Predictions predict_untouched(Classifier& model, const Dataset& dataset, const EvaluateOptions& o) {
  Loader loader(dataset, {.batch_size = o.batch, .policies = {}, .items = {}});
  return predict(model, loader, !o.no_capture);
}

// The smaller classes brought up to the size of the largest by augmented copies.
Predictions predict_balanced(Classifier& model, const Dataset& dataset, int64_t rare, const EvaluateOptions& o) {
  std::vector<AugmentPolicy> policies(dataset.class_counts().size(), light_augmentation());
  policies[static_cast<size_t>(rare)] = strong_augmentation();
  Loader loader(dataset, {.batch_size = o.batch, .policies = policies, .items = balanced_items(dataset)});
  return predict(model, loader, !o.no_capture);
}

// Otherwise copies of another class would be told as copies of the rare one.
void check_rare_is_smaller(const std::vector<int64_t>& counts, int64_t rare, const EvaluateOptions& o,
                           const std::vector<std::string>& classes) {
  const int64_t own = counts[static_cast<size_t>(rare)];
  const auto smallest = std::min_element(counts.begin(), counts.end());
  if (own > *smallest && own == *std::max_element(counts.begin(), counts.end()))
    fail_usage("--balanced augments the rare class, but ", classes[static_cast<size_t>(rare)], " has ", own, " pictures in the split ",
               o.split, " and no class has more. Name the rare class (--rare-class ",
               classes[static_cast<size_t>(smallest - counts.begin())], "), or leave out --balanced.");
}

ViewsDisagreement disagreement(const AveragedPredictions& averaged, const Predictions& alone, const Decision& decision, int64_t views) {
  ViewsDisagreement d = {.views = views};
  for (const double spread : averaged.spread) {
    d.mean_spread += spread / static_cast<double>(averaged.spread.size());
    d.largest_spread = std::max(d.largest_spread, spread);
  }
  const std::vector<int32_t> together = decision.classes(averaged.mean.probabilities, averaged.mean.classes),
                             single = decision.classes(alone.probabilities, alone.classes);
  for (size_t i = 0; i < single.size(); ++i) d.decisions_changed += together[i] != single[i];
  return d;
}

int evaluate_split(const Program& program, const EvaluateOptions& o) {
  const Split split = *parse_split(o.split);
  if (o.views == 1) fail_usage("--tta 1: at least 2 views are needed, the picture itself and an augmented one");
  const bool needs_validation = parse_threshold_rule(o.threshold).kind != ThresholdRule::Kind::argmax || o.temperature == "fit";
  std::filesystem::create_directories(o.out);
  const std::filesystem::path out = o.out, json = out / ("evaluation_" + o.split + ".json");
  ModelFile file = read_model(o.model, tensors_of_precision(o.precision, program.device()));
  const std::vector<std::string>& classes = file.model->classes();
  const DataSplits data = open_splits(o.data, classes);
  SplitEvaluation s;
  s.split = o.split;
  s.model = o.model, s.model_sha256 = sha256_file_hex(o.model);
  s.manifest = data.manifest.name, s.manifest_sha256 = data.manifest_sha256;
  s.device = device_name(program.device()), s.precision = o.precision;
  s.allowed_leaks = allowed_leaks_of_run(std::filesystem::path(o.model).parent_path());
  for (const std::string& leak : data.allowed_leaks)
    if (std::find(s.allowed_leaks.begin(), s.allowed_leaks.end(), leak) == s.allowed_leaks.end()) s.allowed_leaks.push_back(leak);
  s.classes = classes;
  const Split counted = data.rows[Split::train].empty() ? split : Split::train;
  s.rare = rare_class(o.rare, o.rare.empty() ? data.class_counts(counted, false) : std::vector<int64_t>(), data.classes);
  s.threshold_rule = o.threshold;
  s.bootstrap.seed = static_cast<uint64_t>(o.seed);
  if (needs_validation) {
    const std::unique_ptr<Dataset> validation = data.open(Split::val, o.data, file.preprocessing, false);
    choose_on_validation(s, predict_untouched(*file.model, *validation, o), o.temperature == "fit");
    // On disk before the split is opened: what is chosen cannot depend on it.
    write_file_atomically(json, split_evaluation_json(s));
    if (o.split == "val")
      log_warning("threshold and temperature were chosen on validation: scores on validation with them are too good. Use --split test.");
  }

  const std::unique_ptr<Dataset> dataset = data.open(split, o.data, file.preprocessing, false);
  s.bad_pictures = dataset->bad_images();
  if (o.balanced) check_rare_is_smaller(dataset->class_counts(), s.rare, o, classes);
  const auto score = [&](const Predictions& p, const std::string& title) {
    const BootstrapUnits units = bootstrap_units(p, *dataset, data.manifest);
    const Bootstrap bootstrap(units.names, s.bootstrap);
    s.units = units.kind;
    s.unit_count = bootstrap.units();
    s.results.push_back(evaluate(p, classes, title, s.decision, bootstrap));
  };
  const double temperature = s.temperature && !s.temperature->at_bound ? s.temperature->value : 1;
  const Predictions raw = predict_untouched(*file.model, *dataset, o), predictions = with_temperature(raw, temperature);
  if (temperature != 1 && o.split != "val") s.temperature_effects.push_back(temperature_effect(o.split, raw, predictions));
  score(predictions, untouched_title);
  const std::vector<AnalysedPicture> pictures =
      analysed_pictures(predictions, s.decision, *dataset, data.manifest, bootstrap_units(predictions, *dataset, data.manifest).names);
  s.errors = analyse_errors(pictures, s.rare, data.manifest.extra_columns());
  if (o.balanced) {
    const Predictions balanced = with_temperature(predict_balanced(*file.model, *dataset, s.rare, o), temperature);
    score(balanced, augmented_title);
    write_file_atomically(
        out / ("predictions_" + o.split + "_balanced.csv"),
        predictions_csv(balanced, s.decision, *dataset, data.manifest, classes, {.split = o.split, .variant = "balanced"}));
  }
  if (o.views > 0) {
    const AveragedPredictions averaged =
        predict_views(*file.model, *dataset,
                      {.views = o.views, .of_class = s.rare, .temperature = temperature, .batch = o.batch, .capture = !o.no_capture});
    score(averaged.mean, concat("mean of ", o.views, " views"));
    s.views = disagreement(averaged, predictions, s.decision, o.views);
  }
  std::cout << split_evaluation_text(s) << "\n" << std::flush;

  write_file_atomically(out / ("predictions_" + o.split + ".csv"),
                        predictions_csv(predictions, s.decision, *dataset, data.manifest, classes, {.split = o.split}));
  write_file_atomically(json, split_evaluation_json(s));
  log_info("wrote ", json.string(), " and predictions_", o.split, ".csv beside it; dura-report --run makes a page of a run");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  EvaluateOptions options;
  Program program(
      {.name = "dura-evaluate",
       .summary = "Scores a model on a split: precision, recall, F1, AUC with intervals, curves, calibration, predictions per file.",
       .examples = {"dura-evaluate --data brain --classes Menin=meningioma Glioma --model run/model.safetensors --out run --balanced"}});
  options.declare(program);
  return program.run(argc, argv, [&] { return evaluate_split(program, options); });
}
