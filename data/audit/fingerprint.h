// A picture's likeness to others, as two small thumbnails in which only local contrast is left: brightness and contrast do not count, and
// neither does what all heads have in common, a bright oval on black. The dot product of two is their correlation: 1 for the same picture.
// (A perceptual hash with real numbers instead of bits: neighbouring slices of one head differ by less than a bit can say.)
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "data/image/image.h"

namespace dura {

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

}  // namespace dura
