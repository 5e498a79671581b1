// One evaluated picture and what is known and measured about it, for the analysis of errors.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "apps/metrics/decision.h"
#include "apps/evaluation/picture_features.h"
#include "apps/training/prediction.h"
#include "data/set/dataset.h"

namespace dura {

struct AnalysedPicture {
  std::string file, unit;  // unit: its patient, or what stands for it (bootstrap_units)
  int32_t label = 0, decided = 0;
  std::vector<double> probabilities;  // of each class
  double diameter_mm = 0;             // of its lesion; 0: no mask, an empty one, or the pixel size is not known
  PictureFeatures features;
  std::vector<std::string> columns;  // of the manifest's further columns, in their order
};

// Measures every picture as the network sees it (after preprocessing), and its lesion on the stored mask, on all threads. `units[i]` is row
// i's patient. A mask that cannot be read counts as none, with a warning.
std::vector<AnalysedPicture> analysed_pictures(const Predictions& predictions, const Decision& decision, const Dataset& dataset,
                                               const Manifest& manifest, const std::vector<std::string>& units);

}  // namespace dura
