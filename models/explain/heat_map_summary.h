// What the scores of many heat maps say together: over all pictures with a lesion, by class, and where the network was right or wrong.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "models/explain/heat_map_score.h"

namespace dura {

struct ScoredPicture {
  std::string file, label, predicted, explained;  // class names
  double probability = 0;                         // of the predicted class
  PictureScore score;
  bool right() const { return label == predicted; }
};

struct ScoreGroup {
  std::string name;  // "all", a class, "right", "wrong"
  int64_t pictures = 0, without_evidence = 0;
  std::array<MapScore, guesses> means{};  // by Guess
  double random_maps_with_evidence = 0;   // share
  // Chance of at least so many hits by points drawn anywhere in the region: binomial with the mean chance. Slices of one patient are
  // alike, so true chances are larger.
  double p_value = 1;
  const MapScore& operator[](Guess g) const { return means[static_cast<size_t>(g)]; }
};

// "all" first, then `classes` by true class, then "right" and "wrong"; groups without pictures are left out. No pictures: no groups.
std::vector<ScoreGroup> score_groups(const std::vector<ScoredPicture>& pictures, const std::vector<std::string>& classes);

// P(X >= hits) for X ~ Binomial(trials, p), by summing logarithms of terms.
double binomial_tail(int64_t trials, int64_t hits, double p);

}  // namespace dura
