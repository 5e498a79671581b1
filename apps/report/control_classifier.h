// The control of an experiment: how well do simple numbers of the picture (data/audit/picture_statistics.h) tell the classes apart, without
// any network? A network's score says something about lesions only as far as it lies above this one.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "data/audit/survey.h"

namespace dura {

struct ControlScore {
  Split split = Split::train;
  int64_t slices = 0;
  double balanced_accuracy = 0;  // mean recall of the classes that occur
  double auc = 0, f1 = 0;        // of the rare class against the rest; AUC is NaN where one side is empty
};

struct ControlReport {
  std::string rare_class;            // the one with the fewest training slices
  std::vector<ControlScore> scores;  // of the splits that have slices, training first
  // Statistic and its weight in favour of the rare class, where every statistic is scaled to a deviation of 1; the largest first.
  std::vector<std::pair<std::string, double>> weights;
};

// One row per slice.
struct ControlData {
  std::vector<PictureStatistics> statistics;
  std::vector<int32_t> labels;
};

// A logistic regression for each class against the rest, all classes weighing the same, fitted on training; the class with the highest odds
// is predicted. `data` by Split. Throws Error where a class has no training slice.
ControlReport control_classifier(const std::array<ControlData, 3>& data, const std::vector<std::string>& classes);

// What `survey` could read, by the splits of `manifest`.
std::array<ControlData, 3> control_data(const DataSurvey& survey, const Manifest& manifest, const ClassNames& classes);

std::string control_text(const ControlReport& report);
std::string control_json(const ControlReport& report);  // docs/formats.md

}  // namespace dura
