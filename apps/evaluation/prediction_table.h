// The predictions that dura-evaluate wrote, read again: what two runs are compared by. A row is a picture, or one more version of it.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace dura {

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

}  // namespace dura
