// Copies among pictures: how alike two are, and which pairs lie in different splits.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "data/image/image.h"

namespace dura {

// A picture's likeness to others, as two small thumbnails in which only local contrast is left: brightness and contrast do not count, and
// neither does what all heads have in common, a bright oval on black. The dot product of two is their correlation: 1 for the same picture.
// (A perceptual hash with real numbers instead of bits: neighbouring slices of one head differ by less than a bit can say.)

struct Fingerprint {
  static constexpr int64_t coarse_size = 16, fine_size = 48;
  // size x size values from the top left, mean 0 and length 1; all 0 for a picture without contrast.
  std::vector<float> coarse, fine;
};

Fingerprint fingerprint_of(const Image& image);

// One of the eight ways to lay a square upon itself, with a small rotation on top.
struct Placement {
  bool transposed = false, flipped_vertically = false, flipped_horizontally = false;  // in this order
  double degrees = 0;                                                                 // then rotated about the centre
  double rows = 0, columns = 0;                                                       // then shifted, as shares of the side
  std::string name() const;  // "the same way up", "mirrored left to right, rotated by 3 degrees"
};
constexpr int symmetries = 8;
Placement symmetry(int number);  // 0: the same way up

// A square of size x size values placed so, sampled bilinearly; beyond its edges it is 0.
std::vector<float> moved(const std::vector<float>& square, int64_t size, const Placement& placement);
// Likewise a thumbnail: mean 0 and length 1 again.
std::vector<float> placed(const std::vector<float>& thumbnail, int64_t size, const Placement& placement);

// Which pictures are copies of each other, though their files differ: stored again, mirrored, turned, slightly rotated or shifted, brighter
// or darker. Public tumour sets are full of mirrored copies; where one is trained on and its twin tested, the score means nothing.
struct NearCopy {
  int64_t first = 0, second = 0;  // indices into the fingerprints, or rows of a manifest; first < second
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
