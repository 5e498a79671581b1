// All that is said about a model on one split, in one object: how decisions are made, the scores of the untouched pictures and of versions
// beside them. evaluation_<split>.json holds it (docs/formats.md), and the terminal shows it.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "apps/evaluation/evaluation.h"
#include "apps/evaluation/temperature.h"

namespace dura {

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

struct SplitEvaluation {
  std::string split;  // "test"
  std::string model, model_sha256, manifest, manifest_sha256;
  std::vector<std::string> allowed_leaks;  // patients or groups in two splits, of training or of this manifest: scores are too good
  std::vector<std::string> classes;
  int64_t rare = 0;
  std::string threshold_rule;  // as it was asked for: "recall=0.9"
  Decision decision;
  std::optional<ValidationChoice> validation;  // where a threshold was chosen
  std::optional<Temperature> temperature;      // fitted on validation; all probabilities below are with it
  std::vector<TemperatureEffect> temperature_effects;

  // From here on: empty while the split has not been opened.
  std::string units;  // what intervals are drawn over: "patients"
  int64_t unit_count = 0;
  BootstrapOptions bootstrap;
  std::vector<Evaluation> results;  // the first is the untouched pictures, always

  bool complete() const { return !results.empty(); }
};

std::string split_evaluation_text(const SplitEvaluation& s);
std::string split_evaluation_json(const SplitEvaluation& s);

}  // namespace dura
