// Where does the model fail on the rare class? Misses by the size of the lesion, false alarms by what can be measured on them, and the
// worst cases by name.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "apps/evaluation/analysed_picture.h"

namespace dura {

struct Share {
  int64_t count = 0, of = 0;
  double rate() const;  // NaN of nothing
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
