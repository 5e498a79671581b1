// All that is said about a model on one split, in one object: how decisions are made, the scores of the untouched pictures and of versions
// beside them. evaluation_<split>.json holds it (docs/formats.md), and the terminal shows it. Every prediction stays tied to its file.
#pragma once
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "apps/evaluation/adjusted_predictions.h"
#include "apps/evaluation/error_analysis.h"
#include "apps/metrics/class_scores.h"
#include "apps/metrics/metrics.h"
#include "apps/metrics/risk_coverage.h"
#include "apps/metrics/score_curve.h"
#include "apps/program/data_options.h"
#include "apps/training/prediction.h"
#include "data/set/augment.h"
#include "data/set/dataset.h"

namespace dura {

// What predictions say about a model: scores of each class with 95 % intervals, curves, calibration.
struct Evaluation {
  std::string title;  // "untouched"
  std::vector<ClassScores> classes;
  Confusion confusion = Confusion(0);
  Score accuracy;
  double balanced_accuracy = 0, log_loss = 0;
  double calibration_error = 0;             // of the most probable class' probability, whatever the decision; see metrics.h
  std::vector<ReliabilityBin> reliability;  // what the calibration error is made of
};

// Whom the rows of predictions belong to, for bootstrap: the patient, where that is not known the group, else each picture stands alone.
struct BootstrapUnits {
  std::vector<std::string> names;  // one per row
  std::string kind;                // "patients", "groups", "pictures", or a mixture: "patients and pictures"
};
BootstrapUnits bootstrap_units(const Predictions& predictions, const Dataset& dataset, const Manifest& manifest);

// The probability of the most probable class against how often that class is right: what the calibration error is made of.
std::vector<ReliabilityBin> confidence_bins(const Predictions& predictions);

Evaluation evaluate(const Predictions& predictions, const std::vector<std::string>& classes, const std::string& title,
                    const Decision& decision, const Bootstrap& bootstrap);

// Which pictures predictions are of, the same for every row.
struct PredictedSet {
  std::string split;                      // "test"
  std::string variant = "untouched";      // or "balanced": augmented copies among them
  std::vector<double> disagreement = {};  // by row, of several models; empty: one model
  double answered_from = NAN;             // NaN: every picture is answered
};

// file,label,predicted,correct,p_<class>...,patient,split,variant: one row per picture in the data set's order; `predicted` is the
// decision. With several models `disagreement` follows, with a confidence to answer from `confidence` and `answered` (1 or 0).
std::string predictions_csv(const Predictions& predictions, const Decision& decision, const Dataset& dataset, const Manifest& manifest,
                            const std::vector<std::string>& classes, const PredictedSet& set);

// What was chosen on validation before the split was opened.
struct ValidationChoice {
  int64_t pictures = 0;
  double precision = 0, recall = 0, f1 = 0;  // of the rare class with the chosen threshold, on validation
};

// Log loss and calibration error without and with the temperature.
struct TemperatureEffect {
  std::string split;
  double log_loss_before = 0, log_loss_after = 0, calibration_error_before = 0, calibration_error_after = 0;
};

// How far several answers to the same picture disagree: those of the views of test-time augmentation, or of several models.
struct Disagreement {
  int64_t answers = 0;
  // Standard deviation over them of the rare class' probability: mean and largest over the pictures.
  double mean_spread = 0, largest_spread = 0;
  int64_t decisions =
      0;  // pictures for which the mean of the views decides otherwise than the picture alone; which models decide differently
};
Disagreement disagreement(const AveragedPredictions& averaged, size_t answers);

// Answers only where the model is sure enough: the confidence (Decision::confidence) from which on the stated share of the validation
// pictures is answered.
struct Abstention {
  double coverage = 0;             // asked for
  double confidence = 0;           // answered from here on
  double validation_coverage = 0;  // what that gave on validation
  double validation_risk = 0;      // share of wrong answers there
  int64_t answered = 0;            // pictures of the split
};

// Titles of results.
inline constexpr const char* untouched_title = "untouched";
inline constexpr const char* augmented_title = "rare class augmented";
inline constexpr const char* answered_title = "answered";

struct EvaluatedModel {
  std::string file, sha256;
};

struct SplitEvaluation {
  std::string split;                                         // "test"
  std::vector<EvaluatedModel> models;                        // several: the mean of their probabilities is evaluated
  std::string manifest, manifest_sha256, device, precision;  // the last two: where and in what it was computed
  std::vector<std::string> allowed_leaks;  // patients or groups in two splits, of training or of this manifest: scores are too good
  std::vector<std::string> classes;
  int64_t rare = 0;
  std::string threshold_rule;  // as it was asked for: "recall=0.9"
  Decision decision;
  std::optional<ValidationChoice> validation;  // where a threshold was chosen
  std::optional<Temperature> temperature;      // fitted on validation; all probabilities below are with it
  std::vector<TemperatureEffect> temperature_effects;
  std::optional<Abstention> abstention;  // `answered`: once the split has been opened

  // From here on: empty while the split has not been opened.
  std::string units;  // what intervals are drawn over: "patients"
  int64_t unit_count = 0;
  BootstrapOptions bootstrap;
  std::vector<BadImage> bad_pictures;  // of the split, could not be decoded: in no score
  std::vector<Evaluation> results;     // the first is the untouched pictures, always
  std::vector<Evaluation> changed;     // of the same pictures, each time all changed in one way; the title says how
  std::optional<Disagreement> views, models_disagree;
  std::optional<RiskCoverage> risk_coverage;  // of the untouched pictures
  std::optional<ErrorAnalysis> errors;        // of the untouched pictures

  bool complete() const { return !results.empty(); }
  const std::string& rare_name() const { return classes[static_cast<size_t>(rare)]; }
};

// `validation`: the predictions of its pictures. Chooses by them the temperature, where it is fitted, the threshold by s.threshold_rule,
// and the confidence to answer from, where coverage is above 0: before the split is opened, so that none can depend on it.
void choose_on_validation(SplitEvaluation& s, Predictions validation, bool fits_temperature, double coverage);
RiskCoverage risk_coverage(const Predictions& predictions, const Decision& decision);
// The rows whose decision is at least so sure.
Predictions answered_rows(const Predictions& predictions, const Decision& decision, double confidence);
TemperatureEffect temperature_effect(const std::string& split, const Predictions& before, const Predictions& after);

// What --changed asks for, "usual" written out. UsageError for what is no change.
std::vector<AugmentPolicy> asked_changes(const std::vector<std::string>& changes);

std::string split_evaluation_text(const SplitEvaluation& s);
std::string split_evaluation_json(const SplitEvaluation& s);

// Everything that dura-evaluate can be told. dura-study and cross-validation fill it in for the runs that they score.
struct EvaluateOptions {
  DataOptions data = {};
  std::vector<std::string> models = {}, changes = {};
  std::string split = "test", out = {}, card = {}, rare = {}, threshold = "argmax", temperature = "off", precision = "f32";
  double coverage = 0;
  int64_t batch = 16, seed = 0, views = 0;
  bool balanced = false, no_capture = false;

  void declare(OptionSet& options);
};

// What is known before a picture is opened: what is evaluated, and by what.
SplitEvaluation unopened_evaluation(const EvaluateOptions& options, const DataSplits& data, const std::vector<std::string>& classes,
                                    const std::string& device);
// For --balanced, where copies of another class would be told as copies of the rare one: UsageError where no class has more pictures than
// `rare`, by these counts of the split.
void check_rare_is_smaller(const std::vector<int64_t>& counts, int64_t rare, const EvaluateOptions& options,
                           const std::vector<std::string>& classes);

}  // namespace dura
