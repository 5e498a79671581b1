// Networks that have learnt nothing, or that have forgotten a part: what heat maps are compared with.
#pragma once
#include <cstdint>
#include <memory>

#include "models/network/classifier.h"

namespace dura {

// Another network with the same options and state.
std::unique_ptr<Classifier> copy_of(Classifier& model);

// Gives the head and every stage from `first_stage` on (0: the stem; 5: the head alone) the weights of a new network, and their BatchNorm
// the statistics of `images` (u8 (N,H,W,3) on the CPU), as in the first step of training: without them the values of a deep random network
// run away, and its maps show nothing but the background's brightness. The rows of the head are shifted to a mean of zero, which the
// softmax does not notice, so that something speaks for the predicted class wherever its map is a CAM. The same seed gives the same
// weights, whatever the stage. The network keeps its mode and which parts of it are trainable, but not which BatchNorms use batch
// statistics: all use stored ones afterwards.
void randomise_weights(Classifier& model, int first_stage, uint64_t seed, const Tensor& images);

}  // namespace dura
