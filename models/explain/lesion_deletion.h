// Does the network need the lesion? Its pixels are replaced by tissue, or everything else is blurred, and the probability of the answer is
// followed; equal areas of brain elsewhere say what the replacing itself does. Unlike a heat map, which can be trained to lie anywhere
// (Viering et al. 2019, arXiv 1907.10901), this asks the network.
#pragma once
#include <cstdint>
#include <vector>

#include "models/explain/explanation.h"

namespace dura {

// The image with the pixels of the mask (not zero inside) replaced by the smooth surface that continues what lies around them (Laplace's
// equation, by relaxation until no pixel moves by more than a twentieth of a grey level, 4000 sweeps at most). Where the mask covers the
// whole image it is left as it is.
Image filled_in(const Image& image, const Image& mask);

// The image with the pixels of the mask replaced by those on the other side of the region's middle column: the other hemisphere in axial
// and coronal planes, in sagittal ones just another place.
Image mirrored_in(const Image& image, const Image& mask, const Image& region);

// The mask moved to at most `count` other places, drawn by `key`: nine tenths of it in the region, none of it within `gap` pixels of the
// lesion. Fewer, or none, where 300 draws for each find no more room.
std::vector<Image> moved_elsewhere(const Image& mask, const Image& region, int64_t count, int64_t gap, uint64_t key);

struct LesionDeletionOptions {
  int64_t places = 4;  // elsewhere
  int64_t batch = 16;
  uint64_t seed = 0;
};

// The answer's probability, and by how much it falls. NaN where there is no room elsewhere.
struct LesionDeletion {
  int32_t answer = 0;  // the predicted class
  double probability = 0;
  double filled = 0, filled_elsewhere = 0;      // the lesion filled in, and equal areas elsewhere: mean over the places
  double mirrored = 0, mirrored_elsewhere = 0;  // likewise, with the other hemisphere
  double kept = 0;                              // the probability that is left where all but lesion and rim is blurred
};

// The slice as the network takes it, its mask and the region of the brain, of one size; the lesion is not empty. `key` draws the places.
LesionDeletion lesion_deletion(Classifier& model, const Image& slice, const Image& mask, const Image& region, uint64_t key,
                               const LesionDeletionOptions& options = {});

// Occlusion (Zeiler and Fergus 2014, arXiv 1311.2901): windows of a seventh of the side, half a window apart, are set to the picture's
// mean, and a cell of the map is how far the probability of `answer` falls, 0 where it rises. Needs no gradient and no stage.
HeatMap occlusion_map(Classifier& model, const Image& slice, int32_t answer, int64_t batch = 16);

}  // namespace dura
