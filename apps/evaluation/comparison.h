// Is run B better than run A, or only luckier with these patients? McNemar's test on the decisions, and intervals of the differences of
// scores, both runs scored on the same resampled patients each time.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "apps/metrics/significance.h"

namespace dura {

// The predictions that dura-evaluate wrote, read again. A row is a picture, or one more version of it.
struct PredictionTable {
  std::string name;                   // the file's, for messages
  std::vector<std::string> classes;   // in the order of the columns p_<class>
  std::vector<std::string> pictures;  // of each row: file, "file#2" for version 2 of it
  std::vector<std::string> units;     // of each row: its patient; where that is not known its group, else the picture itself
  std::vector<int32_t> labels, decided;
  std::vector<double> probabilities;  // rows x classes
  int64_t patients = 0;               // rows whose patient is known

  size_t rows() const { return pictures.size(); }
};

// Columns are found by name: file, label, predicted, p_<class> for two classes or more; patient, group and variant where they are there.
// Error with the line for a label that is no class, a probability outside of [0, 1], a picture that comes twice.
PredictionTable parse_predictions(const std::string& text, const std::string& name);
PredictionTable read_predictions(const std::string& file);

// Throws UsageError, naming what differs, where the two are not about the same pictures with the same labels, classes and patients.
// Otherwise `b` with its rows in the order of `a`.
PredictionTable matched_to(const PredictionTable& a, const PredictionTable& b);

struct ScoreDifference {
  std::string score;      // "accuracy", "F1 Menin"
  double a = 0, b = 0;    // of all pictures; NaN where it is not defined
  double difference = 0;  // b - a
  Interval interval;      // of the difference; NaN where there is none
  bool clear() const { return interval.low > 0 || interval.high < 0; }
};

struct Comparison {
  std::string a, b;  // names of the files
  int64_t pictures = 0, units = 0;
  std::string unit;  // "patients", "groups or pictures"
  McNemar mcnemar;
  std::vector<ScoreDifference> differences;
  BootstrapOptions bootstrap;
};

// Accuracy, then F1 and ROC AUC of each class. Throws UsageError where the two are not about the same pictures.
Comparison compare_predictions(const PredictionTable& a, const PredictionTable& b, const BootstrapOptions& options = {});

std::string comparison_text(const Comparison& c);
std::string comparison_json(const Comparison& c);

}  // namespace dura
