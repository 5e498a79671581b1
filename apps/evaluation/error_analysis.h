// What wrongly classified slices have in common: features that need no knowledge of what a slice shows, the slices with their answers, and
// the tables over them.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "apps/metrics/score_curve.h"
#include "apps/training/prediction.h"
#include "data/image/image.h"
#include "data/set/dataset.h"

namespace dura {

// What can be measured on a slice without knowing what it shows, to ask what wrongly classified slices have in common.

// The head is what the dark background does not reach from the picture's edge. Its inner part lies deeper than 8 % of the head's diameter,
// that is inside of scalp and skull. Grey levels are 0 to 255. All NaN, 0 and false where there is no inner part (a black picture).
struct PictureFeatures {
  double mean_intensity = 0;  // of the inner part
  double brightness = 0;      // the grey level that 1 % of the inner part exceeds
  int64_t bright_spots =
      0;  // regions of the inner part above mean + 3 standard deviations, 2 pixels to 0.2 % of it: as calcifications, and vessels, look
  bool bright_at_border = false;  // a region above mean + 2 standard deviations, at least 0.5 % of the inner part, reaches its edge
};

PictureFeatures measure_picture(const Image& slice);

// One evaluated picture and what is known and measured about it, for the analysis of errors.
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

// Where does the model fail on the rare class? Misses by the size of the lesion, false alarms by what can be measured on them, and the
// worst cases by name.
struct Share {
  int64_t count = 0, of = 0;
  double rate() const { return ratio(static_cast<double>(count), static_cast<double>(of)); }  // NaN of nothing
};

struct ErrorRate {
  Share pictures;
  int64_t units = 0;  // patients that the errors come from
};

struct DiameterBin {
  double low = 0, high = 0;  // mm, [low, high); the last one holds everything from low on, and high is the largest lesion
  Share missed;              // of 0: no lesion of this size
};

// How often something is so among false positives and among true negatives.
struct Trait {
  std::string name;  // "bright region at the border", "plane = ax"
  Share false_positives, true_negatives;
};

struct ErrorAnalysis {
  int64_t rare = 0;
  ErrorRate false_negatives, false_positives;  // of the pictures of the rare class; of the others
  int64_t not_measured = 0;                    // pictures of the rare class without a diameter
  Share under_5_mm, missed_under_5_mm;         // of the measured lesions; of the missed measured ones
  std::vector<DiameterBin> by_diameter;        // empty where no lesion is measured
  std::vector<Trait> traits;                   // empty where there is no false positive
  std::vector<AnalysedPicture> worst;          // wrong decisions, the true class least probable first; at most 40
  int64_t errors = 0;                          // wrong decisions in all
};

// `columns`: names of the manifest's columns. Those with 2 to 8 different values among the pictures become traits.
ErrorAnalysis analyse_errors(const std::vector<AnalysedPicture>& pictures, int64_t rare, const std::vector<std::string>& columns);

}  // namespace dura
