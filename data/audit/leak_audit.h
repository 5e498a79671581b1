// Which pictures are copies of each other, though their files differ: stored again, mirrored, turned, slightly rotated or shifted, brighter
// or darker. Public tumour sets are full of mirrored copies; where one is trained on and its twin tested, the score means nothing.
#pragma once
#include <cstdint>
#include <vector>

#include "data/audit/fingerprint.h"

namespace dura {

struct NearCopy {
  int64_t first = 0, second = 0;  // indices into the fingerprints, first < second
  Placement placement;            // how the second lies upon the first
  double likeness = 0;            // correlation of the fine thumbnails, once laid upon each other
};

// Mirrored copies of real slices reach 0.9998, rotated ones 0.992; neighbouring slices of one head stay at or below 0.990.
inline constexpr double least_likeness = 0.991;

// All pairs at or above the least likeness, in order. Every pair is looked at under the eight symmetries and rotations of up to 9 degrees
// either way in steps of 3 on the coarse thumbnails (a matrix product for each, on all threads); what is alike there is laid upon each
// other, down to steps of a quarter of a degree and a 300th of the side, and compared on the fine ones. The time grows with the square of
// the count: 4,000 pictures take less than a minute on two cores.
std::vector<NearCopy> find_near_copies(const std::vector<Fingerprint>& fingerprints);

}  // namespace dura
