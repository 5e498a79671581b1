// dura-evaluate: how good is a model on a split? Nothing is shuffled, every prediction is written beside its file.
#include <filesystem>
#include <iostream>

#include "apps/evaluation/ensemble.h"
#include "apps/evaluation/error_analysis.h"
#include "apps/evaluation/model_card.h"
#include "apps/evaluation/split_evaluation.h"
#include "apps/program/processes.h"
#include "engine/base/file.h"
#include "engine/base/log.h"

namespace {

using namespace dura;

int evaluate_split(const Program& program, const EvaluateOptions& o, Communicator& ranks) {
  const Split split = *parse_split(o.split);
  if (o.views == 1) fail_usage("--tta 1: at least 2 views are needed, the picture itself and an augmented one");
  check_card(o);
  const std::vector<AugmentPolicy> changes = asked_changes(o.changes);
  const bool needs_validation =
      parse_threshold_rule(o.threshold).kind != ThresholdRule::Kind::argmax || o.temperature == "fit" || o.coverage > 0;
  if (ranks.is_first()) std::filesystem::create_directories(o.out);
  const std::filesystem::path out = o.out, json = out / ("evaluation_" + o.split + ".json");
  Ensemble models(
      o.models,
      {.tensors = tensors_of_precision(o.precision, program.device()), .batch = o.batch, .capture = !o.no_capture, .ranks = &ranks});
  const std::vector<std::string>& classes = models.classes();
  const DataSplits data = open_splits(o.data, classes, ranks);
  SplitEvaluation s = unopened_evaluation(o, data, classes, device_name(program.device()));
  require_agreement(ranks, facts_of(program, s.manifest_sha256, o.models));
  const Split counted = data.rows[Split::train].empty() ? split : Split::train;
  s.rare = rare_class(o.rare, o.rare.empty() ? data.class_counts(counted, false) : std::vector<int64_t>(), data.classes);
  if (needs_validation) {
    const std::unique_ptr<Dataset> validation = data.open(Split::val, o.data, models.preprocessing(), false, ranks);
    choose_on_validation(s, mean_of(models.untouched(*validation), s.rare).mean, o.temperature == "fit", o.coverage);
    // On disk before the split is opened: what is chosen cannot depend on it.
    if (ranks.is_first()) write_file_atomically(json, split_evaluation_json(s));
    if (o.split == "val")
      log_warning(
          "threshold, temperature and confidence were chosen on validation: scores on validation with them are too good. Use --split "
          "test.");
  }

  const std::unique_ptr<Dataset> dataset = data.open(split, o.data, models.preprocessing(), false, ranks);
  s.bad_pictures = dataset->bad_images();
  if (o.balanced) check_rare_is_smaller(dataset->class_counts(), s.rare, o, classes);
  const SplitAnswers answers = answers_of(models, *dataset, o, s.rare);
  if (!ranks.is_first()) return 0;  // scores and files are the first one's

  const auto evaluated = [&](const Predictions& p, const std::string& title) {
    const BootstrapUnits units = bootstrap_units(p, *dataset, data.manifest);
    const Bootstrap bootstrap(units.names, s.bootstrap);
    s.units = units.kind;
    s.unit_count = bootstrap.units();
    return evaluate(p, classes, title, s.decision, bootstrap);
  };
  const auto score = [&](const Predictions& p, const std::string& title) { s.results.push_back(evaluated(p, title)); };
  const double temperature = s.temperature && !s.temperature->at_bound ? s.temperature->value : 1;
  const AveragedPredictions together = mean_of(answers.untouched, s.rare);
  const Predictions predictions = with_temperature(together.mean, temperature);
  if (temperature != 1 && o.split != "val") s.temperature_effects.push_back(temperature_effect(o.split, together.mean, predictions));
  score(predictions, untouched_title);
  s.risk_coverage = risk_coverage(predictions, s.decision);
  const auto decisions = [&](const Predictions& p) {
    return s.decision.classes(with_temperature(p, temperature).probabilities, p.classes);
  };
  if (models.size() > 1) {
    s.models_disagree = disagreement(together, models.size());
    std::vector<std::vector<int32_t>> each;
    for (const Predictions& p : answers.untouched) each.push_back(decisions(p));
    s.models_disagree->decisions = decided_differently(each);
  }
  if (s.abstention) {
    const Predictions answered = answered_rows(predictions, s.decision, s.abstention->confidence);
    s.abstention->answered = std::ssize(answered.labels);
    if (!answered.labels.empty()) score(answered, answered_title);
  }
  const std::vector<AnalysedPicture> pictures =
      analysed_pictures(predictions, s.decision, *dataset, data.manifest, bootstrap_units(predictions, *dataset, data.manifest).names);
  s.errors = analyse_errors(pictures, s.rare, data.manifest.extra_columns());
  if (o.balanced) {
    const Predictions balanced = with_temperature(mean_of(answers.balanced, s.rare).mean, temperature);
    score(balanced, augmented_title);
    write_file_atomically(
        out / ("predictions_" + o.split + "_balanced.csv"),
        predictions_csv(balanced, s.decision, *dataset, data.manifest, classes, {.split = o.split, .variant = "balanced"}));
  }
  for (size_t i = 0; i < changes.size(); ++i)
    s.changed.push_back(evaluated(with_temperature(mean_of(answers.changed[i], s.rare).mean, temperature), describe(changes[i])));
  if (o.views > 0) {
    const AveragedPredictions averaged = mean_of(answers.views, s.rare);
    const Predictions mean = with_temperature(averaged.mean, temperature);
    score(mean, concat("mean of ", o.views, " views"));
    s.views = disagreement(averaged, static_cast<size_t>(o.views));
    s.views->decisions = decided_differently({decisions(together.mean), decisions(averaged.mean)});
  }
  std::cout << split_evaluation_text(s) << "\n" << std::flush;

  write_file_atomically(out / ("predictions_" + o.split + ".csv"),
                        predictions_csv(predictions, s.decision, *dataset, data.manifest, classes,
                                        {.split = o.split,
                                         .disagreement = models.size() > 1 ? together.spread : std::vector<double>(),
                                         .answered_from = s.abstention ? s.abstention->confidence : NAN}));
  write_file_atomically(json, split_evaluation_json(s));
  write_scored_model(o, s, data);
  log_info("wrote ", json.string(), " and predictions_", o.split, ".csv beside it; dura-report --run makes a page of a run");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  EvaluateOptions options;
  Program program(
      {.name = "dura-evaluate",
       .summary = "Scores a model on a split: precision, recall, F1, AUC with intervals, curves, calibration, predictions per file.",
       .examples = {"dura-evaluate --data brain --classes Menin=meningioma Glioma --model run/model.safetensors --out run --balanced",
                    "dura-evaluate --data brain --classes Menin=meningioma Glioma --model run/fold1/model.safetensors "
                    "run/fold2/model.safetensors --out both --coverage 0.9"},
       .shares_work = true});
  options.declare(program);
  return program.run(argc, argv,
                     [&] { return run_on_all(program, [&](Communicator& ranks) { return evaluate_split(program, options, ranks); }); });
}
