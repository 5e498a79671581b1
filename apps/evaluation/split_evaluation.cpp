#include "apps/evaluation/split_evaluation.h"

#include <algorithm>
#include <set>

#include "apps/program/run_directory.h"
#include "apps/program/text_table.h"
#include "data/set/csv.h"
#include "engine/base/sha256.h"

namespace dura {

namespace {

// Accuracy, then the scores with intervals of each class.
std::vector<double> interval_values(const CountedScores& scores) {
  std::vector<double> values = {scores.accuracy};
  for (const CountedScores::Class& c : scores.classes) values.insert(values.end(), {c.precision, c.recall, c.f1, c.auc});
  return values;
}

}  // namespace

BootstrapUnits bootstrap_units(const Predictions& predictions, const Dataset& dataset, const Manifest& manifest) {
  BootstrapUnits units;
  std::set<std::string> kinds;
  for (const int64_t sample : predictions.samples) {
    const ManifestRow& row = manifest.rows[static_cast<size_t>(dataset.sample(sample).row)];
    const char* kind = !row.patient.empty() ? "patients" : !row.group.empty() ? "groups" : "pictures";
    units.names.push_back(concat(kind, ":", !row.patient.empty() ? row.patient : !row.group.empty() ? row.group : row.file));
    kinds.insert(kind);
  }
  for (const char* kind : {"patients", "groups", "pictures"})
    if (kinds.count(kind)) units.kind += (units.kind.empty() ? "" : " and ") + std::string(kind);
  return units;
}

std::vector<ReliabilityBin> confidence_bins(const Predictions& p) {
  const std::vector<int32_t> most_probable = argmax_rows(p.probabilities, p.classes);
  std::vector<bool> right;
  std::vector<double> confidence;
  for (size_t i = 0; i < p.labels.size(); ++i) {
    right.push_back(most_probable[i] == p.labels[i]);
    confidence.push_back(p.probabilities[i * static_cast<size_t>(p.classes) + static_cast<size_t>(most_probable[i])]);
  }
  return reliability_bins(right, confidence);
}

Evaluation evaluate(const Predictions& p, const std::vector<std::string>& classes, const std::string& title, const Decision& decision,
                    const Bootstrap& bootstrap) {
  Evaluation e;
  e.title = title;
  const Decided rows(p.labels, decision.classes(p.probabilities, p.classes), p.probabilities, p.classes);
  e.confusion = confusion_of(p.labels, rows.decided, p.classes);
  e.balanced_accuracy = e.confusion.balanced_accuracy();
  e.log_loss = log_loss(p.labels, p.logits, p.classes);
  e.reliability = confidence_bins(p);
  e.calibration_error = expected_calibration_error(e.reliability);

  const std::vector<Interval> intervals =
      bootstrap.intervals(1 + rows.classes.size() * scores_with_interval,
                          [&](const std::vector<double>& counts) { return interval_values(counted_scores(rows, counts)); });
  e.accuracy = {e.confusion.accuracy(), intervals[0]};
  const Interval* next = &intervals[1];
  for (int64_t c = 0; c < p.classes; ++c) {
    const OneAgainstRest& one = rows.classes[static_cast<size_t>(c)];
    const ScoreCurve curve = one.curve();
    e.classes.push_back({.name = classes[static_cast<size_t>(c)],
                         .support = e.confusion.support(c),
                         .precision = {e.confusion.precision(c), next[0]},
                         .recall = {e.confusion.recall(c), next[1]},
                         .f1 = {e.confusion.f1(c), next[2]},
                         .auc = {curve.roc_auc(), next[3]},
                         .average_precision = {curve.average_precision()},
                         .brier = {brier_score(one.positive, one.score)},
                         .curve = curve,
                         .reliability = reliability_bins(one.positive, one.score)});
    next += scores_with_interval;
  }
  return e;
}

std::string predictions_csv(const Predictions& p, const Decision& decision, const Dataset& dataset, const Manifest& manifest,
                            const std::vector<std::string>& classes, const PredictedSet& set) {
  std::vector<std::string> header = {"file", "label", "predicted", "correct"};
  for (const std::string& c : classes) header.push_back("p_" + c);
  header.insert(header.end(), {"patient", "split", "variant"});
  if (!set.disagreement.empty()) header.push_back("disagreement");
  const bool abstains = !std::isnan(set.answered_from);
  if (abstains) header.insert(header.end(), {"confidence", "answered"});
  const std::vector<double> confidence = decision.confidence(p.probabilities, p.classes);
  std::string text = format_csv_row(header);
  const std::vector<int32_t> predicted = decision.classes(p.probabilities, p.classes);
  for (size_t i = 0; i < p.labels.size(); ++i) {
    const Sample& s = dataset.sample(p.samples[i]);
    std::vector<std::string> row = {s.file, classes[static_cast<size_t>(p.labels[i])], classes[static_cast<size_t>(predicted[i])],
                                    p.labels[i] == predicted[i] ? "1" : "0"};
    for (int64_t c = 0; c < p.classes; ++c)
      row.push_back(fixed(p.probabilities[i * static_cast<size_t>(p.classes) + static_cast<size_t>(c)], 9));
    row.insert(row.end(), {manifest.rows[static_cast<size_t>(s.row)].patient, set.split, set.variant});
    if (!set.disagreement.empty()) row.push_back(fixed(set.disagreement[i], 6));
    if (abstains) row.insert(row.end(), {fixed(confidence[i], 6), confidence[i] >= set.answered_from ? "1" : "0"});
    text += format_csv_row(row);
  }
  return text;
}

TemperatureEffect temperature_effect(const std::string& split, const Predictions& before, const Predictions& after) {
  return {.split = split,
          .log_loss_before = log_loss(before.labels, before.logits, before.classes),
          .log_loss_after = log_loss(after.labels, after.logits, after.classes),
          .calibration_error_before = expected_calibration_error(confidence_bins(before)),
          .calibration_error_after = expected_calibration_error(confidence_bins(after))};
}

Disagreement disagreement(const AveragedPredictions& averaged, size_t answers) {
  Disagreement d = {.answers = static_cast<int64_t>(answers)};
  for (const double spread : averaged.spread) {
    d.mean_spread += spread / static_cast<double>(averaged.spread.size());
    d.largest_spread = std::max(d.largest_spread, spread);
  }
  return d;
}

RiskCoverage risk_coverage(const Predictions& p, const Decision& decision) {
  const std::vector<int32_t> decided = decision.classes(p.probabilities, p.classes);
  std::vector<bool> right;
  for (size_t i = 0; i < decided.size(); ++i) right.push_back(decided[i] == p.labels[i]);
  return RiskCoverage(decision.confidence(p.probabilities, p.classes), right);
}

Predictions answered_rows(const Predictions& p, const Decision& decision, double least) {
  const std::vector<double> confidence = decision.confidence(p.probabilities, p.classes);
  Predictions kept = {.classes = p.classes};
  for (size_t i = 0; i < confidence.size(); ++i)
    if (confidence[i] >= least) append_row(kept, p, i);
  return kept;
}

namespace {

void choose_threshold_on_validation(SplitEvaluation& s, const Predictions& p) {
  const ThresholdRule rule = parse_threshold_rule(s.threshold_rule);
  if (rule.kind == ThresholdRule::Kind::argmax) return;
  const OneAgainstRest rare(p.labels, p.probabilities, p.classes, s.rare);
  s.decision = {.argmax = false, .rare = s.rare, .threshold = choose_threshold(rule, rare.curve())};
  const Confusion c = confusion_of(p.labels, s.decision.classes(p.probabilities, p.classes), p.classes);
  s.validation = {.pictures = c.total(), .precision = c.precision(s.rare), .recall = c.recall(s.rare), .f1 = c.f1(s.rare)};
}

}  // namespace

void choose_on_validation(SplitEvaluation& s, Predictions p, bool fits_temperature, double coverage) {
  if (fits_temperature) {
    s.temperature = fit_temperature(p.labels, p.logits, p.classes);
    if (!s.temperature->at_bound) {
      const Predictions after = with_temperature(p, s.temperature->value);
      s.temperature_effects.push_back(temperature_effect("val", p, after));
      p = after;
    }
  }
  choose_threshold_on_validation(s, p);
  if (coverage == 0) return;
  const CoveragePoint chosen = risk_coverage(p, s.decision).at(coverage);
  s.abstention = {
      .coverage = coverage, .confidence = chosen.threshold, .validation_coverage = chosen.coverage, .validation_risk = chosen.risk};
}

std::vector<AugmentPolicy> asked_changes(const std::vector<std::string>& changes) {
  std::vector<AugmentPolicy> policies;
  for (const std::string& change : changes) {
    const bool usual = change == "usual";
    for (const std::string& text :
         usual ? std::vector<std::string>{"brightness=0.8:0.8", "brightness=1.2:1.2", "contrast=0.7:0.7", "contrast=1.3:1.3",
                                          "sharpness=0:0", "sharpness=2:2", "zoom=0.85:0.85", "zoom=1.15:1.15", "rotation=15", "hflip=1"}
               : std::vector<std::string>{change}) {
      policies.push_back(parse_augment_policy(text, {}, "--changed"));
      if (policies.back().changes_nothing()) fail_usage("--changed ", change, " changes nothing");
    }
  }
  return policies;
}

SplitEvaluation unopened_evaluation(const EvaluateOptions& o, const DataSplits& data, const std::vector<std::string>& classes,
                                    const std::string& device) {
  SplitEvaluation s;
  s.split = o.split, s.classes = classes;
  s.manifest = data.manifest.name, s.manifest_sha256 = data.manifest_sha256;
  s.device = device, s.precision = o.precision;
  s.threshold_rule = o.threshold;
  s.bootstrap.seed = static_cast<uint64_t>(o.seed);
  const auto add_leaks = [&](const std::vector<std::string>& leaks) {
    for (const std::string& leak : leaks)
      if (std::find(s.allowed_leaks.begin(), s.allowed_leaks.end(), leak) == s.allowed_leaks.end()) s.allowed_leaks.push_back(leak);
  };
  for (const std::string& model : o.models) {
    s.models.push_back({model, sha256_file_hex(model)});
    add_leaks(allowed_leaks_of_run(std::filesystem::path(model).parent_path()));
  }
  add_leaks(data.allowed_leaks);
  return s;
}

void check_rare_is_smaller(const std::vector<int64_t>& counts, int64_t rare, const EvaluateOptions& o,
                           const std::vector<std::string>& classes) {
  const int64_t own = counts[static_cast<size_t>(rare)];
  const auto smallest = std::min_element(counts.begin(), counts.end());
  if (own > *smallest && own == *std::max_element(counts.begin(), counts.end()))
    fail_usage("--balanced augments the rare class, but ", classes[static_cast<size_t>(rare)], " has ", own, " pictures in the split ",
               o.split, " and no class has more. Name the rare class (--rare-class ",
               classes[static_cast<size_t>(smallest - counts.begin())], "), or leave out --balanced.");
}

void EvaluateOptions::declare(OptionSet& options) {
  data.declare(options);
  options.heading("Evaluation");
  options.list("--model", models, "Model written by dura-train; several answer together, with the mean of their probabilities",
               {.required = true});
  options.text("--split", split, "train, val or test", {.choices = {"train", "val", "test"}});
  options.text("--out", out, "Folder for the report", {.required = true});
  options.text("--card", card, "Also write the model to this file, with the scores in its card; the model that was given stays as it is");
  options.integer("--batch", batch, "Images at a time", {.min = 1, .max = 4096});
  options.text("--precision", precision, "Type that activations and weights are stored in", {.choices = {"f32", "tf32", "f16", "bf16"}});
  options.flag("--balanced", balanced, "Also score the set balanced by augmented copies of the rare class, labelled as such");
  options.list("--changed", changes,
               "Also score the split with every picture changed, once for each of these, written as for --augment-class: contrast=0.7:0.7 "
               "zoom=1.2:1.2,hflip=1; usual: ten of them");
  options.flag("--no-capture", no_capture, "CUDA: start the kernels of each batch one by one instead of replaying captured work");
  options.text("--rare-class", rare, "The class that thresholds and errors are about (default: the one with the fewest training images)");
  options.text(
      "--threshold", threshold,
      "argmax: the most probable class; f1, youden or recall=0.9: the rare class from a probability on that is chosen on validation");
  options.text("--temperature", temperature, "fit: probabilities as sure of themselves as validation says they may be",
               {.choices = {"off", "fit"}});
  options.number("--coverage", coverage,
                 "Also score answers given only where the model is sure enough to answer this share of validation; 0: not",
                 {.min = 0, .max = 1});
  options.integer("--tta", views, "Also score the mean over this many views of each picture, itself and light augmentations; 0: not",
                  {.min = 0, .max = 64});
  options.integer("--seed", seed, "For the resamples of the intervals", {.min = 0});
}

}  // namespace dura
