// The predictions that dura-evaluate wrote, read again: what two runs are compared by. A row is a picture, or one more version of it.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace dura {

struct PredictionRow {
  std::string picture;  // file, "file#2" for version 2 of it
  int32_t label = 0, predicted = 0;
  std::string unit;  // whom it belongs to: the patient, where that is not known the group, else the picture itself
};

struct PredictionTable {
  std::string name;                  // the file's, for messages
  std::vector<std::string> classes;  // in the order of the columns p_<class>
  std::vector<PredictionRow> rows;
  std::vector<double> probabilities;  // rows x classes
  int64_t patients = 0;               // rows whose patient is known

  std::vector<double> scores(size_t c) const;   // of one class
  std::vector<bool> positives(size_t c) const;  // which rows are of it
  std::vector<std::string> units() const;
};

// Columns are found by name: file, label, predicted, p_<class> for two classes or more; patient, group and variant where they are there.
// Error with the line for a label that is no class, a probability outside of [0, 1], a picture that comes twice.
PredictionTable parse_predictions(const std::string& text, const std::string& name);
PredictionTable read_predictions(const std::string& file);

// Throws UsageError, naming what differs, where the two are not about the same pictures with the same labels, classes and patients.
// Otherwise `b` with its rows in the order of `a`.
PredictionTable matched_to(const PredictionTable& a, const PredictionTable& b);

}  // namespace dura
