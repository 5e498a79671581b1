// Do heat maps depend on what the network has learnt? Maps of a network whose weights are made random from the head downwards are compared
// with its own.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "models/explain/explanation.h"
#include "models/explain/heat_map.h"
#include "models/network/classifier.h"

namespace dura {

// How alike two heat maps are.

// Spearman's rank correlation, equal values sharing their mean rank; 0 where one map has a single value everywhere: it orders nothing.
double rank_correlation(const HeatMap& a, const HeatMap& b);

// The structural similarity index (Wang et al. 2004) of maps with values in [0,1]: mean over all windows of 7x7, or as large as the map
// where it is smaller, with sample variances and the constants 0.01^2 and 0.03^2.
double structural_similarity(const HeatMap& a, const HeatMap& b);

// Networks that have learnt nothing, or that have forgotten a part: what heat maps are compared with.
// Another network with the same options and state.
std::unique_ptr<Classifier> copy_of(Classifier& model);

// Gives the head and every stage from `first_stage` on (0: the stem; 5: the head alone) the weights of a new network, and their BatchNorm
// the statistics of `images` (u8 (N,H,W,3) on the CPU), as in the first step of training: without them the values of a deep random network
// run away, and its maps show nothing but the background's brightness. The rows of the head are shifted to a mean of zero, which the
// softmax does not notice, so that something speaks for the predicted class wherever its map is a CAM. The same seed gives the same
// weights, whatever the stage. The network keeps its mode and which parts of it are trainable, but not which BatchNorms use batch
// statistics: all use stored ones afterwards.
void randomise_weights(Classifier& model, int first_stage, uint64_t seed, const Tensor& images);

// Do heat maps depend on what the network has learnt? The sanity check of Adebayo et al. 2018 ("Sanity checks for saliency maps"): weights
// are made random from the head downwards, stage by stage; maps that show what was learnt must become unlike the original ones.
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
