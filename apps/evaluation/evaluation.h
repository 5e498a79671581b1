// What predictions say about a model: scores of each class with 95 % intervals, curves, calibration. Every prediction stays tied to its
// file.
#pragma once
#include <string>
#include <vector>

#include "apps/metrics/class_scores.h"
#include "apps/metrics/score_curve.h"
#include "apps/metrics/metrics.h"
#include "apps/training/prediction.h"
#include "data/set/dataset.h"

namespace dura {

struct Evaluation {
  std::string title;  // "untouched"
  std::vector<ClassScores> classes;
  Confusion confusion = Confusion(0);
  Score accuracy;
  double balanced_accuracy = 0, log_loss = 0;
  double calibration_error = 0;             // of the most probable class' probability, whatever the decision; see calibration.h
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
  std::string split;                  // "test"
  std::string variant = "untouched";  // or "balanced": augmented copies among them
};

// file,label,predicted,correct,p_<class>...,patient,split,variant: one row per picture in the data set's order; `predicted` is the
// decision.
std::string predictions_csv(const Predictions& predictions, const Decision& decision, const Dataset& dataset, const Manifest& manifest,
                            const std::vector<std::string>& classes, const PredictedSet& set);

}  // namespace dura
