// Do heat maps depend on what the network has learnt? The sanity check of Adebayo et al. 2018 ("Sanity checks for saliency maps"): weights
// are made random from the head downwards, stage by stage; maps that show what was learnt must become unlike the original ones.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "models/explain/explanation.h"

namespace dura {

struct SanityStep {
  std::string randomised;  // "nothing", "head", "layer4", ..., "stem": this part and all behind it
  // Means over pictures and networks, against the original maps; a map without evidence orders nothing and counts as 0.
  double rank_correlation = 0, structural_similarity = 0;
  int64_t maps = 0, without_evidence = 0;
  std::vector<HeatMap> examples;  // of the first network, one for each of SanityCheck::slices
};

struct SanityCheck {
  std::vector<SanityStep> steps;  // the first one is the network itself
  std::vector<Image> slices;      // the first pictures, for showing
};

// `networks`: random draws to average over. Behind a random head a class means nothing any more, so every map explains what its own network
// predicts.
SanityCheck sanity_check(Classifier& model, const Dataset& dataset, const std::vector<int64_t>& samples, int64_t batch,
                         const ExplainOptions& options, int64_t networks);

}  // namespace dura
