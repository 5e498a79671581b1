// Copies among pictures: how alike two are, and which pairs lie in different splits.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "data/image/image.h"
#include "engine/base/shared_work.h"

namespace dura {

// A picture's likeness to others, as two small thumbnails in which only local contrast is left: brightness and contrast do not count, and
// neither does what all heads have in common, a bright oval on black. The dot product of two is their correlation: 1 for the same picture.
// (A perceptual hash with real numbers instead of bits: neighbouring slices of one head differ by less than a bit can say.)

struct Fingerprint {
  static constexpr int64_t coarse_size = 16, fine_size = 48;
  // Grey thumbnails, size x size from the top left: 2.5 KiB for a picture.
  std::array<uint8_t, coarse_size * coarse_size> coarse_pixels{};
  std::array<uint8_t, fine_size * fine_size> fine_pixels{};

  // Their local contrast: mean 0 and length 1; all 0 for a picture without contrast.
  std::vector<float> coarse() const, fine() const;
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

// Rows of a matrix product: its result is 1 MB for as many columns.
inline constexpr int64_t alike_block = 512;
// Of rows i of `left` and j > i of `right`, as many each, all of one length: `use` is given i, a first j, and the dot products with so many
// rows from there on. Blocks of rows i are dealt out to the processes that share the work, one block after the other.
void for_alike_rows(const std::vector<std::vector<float>>& left, const std::vector<std::vector<float>>& right, const SharedWork& shared,
                    const std::function<void(int64_t i, int64_t first_j, std::span<const float> products)>& use);

struct NearCopyOptions {
  // More pictures than these are not all laid upon each other: only pairs that are close by their signatures (copy_signature.h) are.
  int64_t all_pairs_up_to = 10'000;
  SharedWork shared = {};
};

// All pairs at or above the least likeness, in order. Every pair is looked at under the eight symmetries and rotations of up to 9 degrees
// either way in steps of 3 on the coarse thumbnails (a matrix product for each, on all threads); what is alike there is laid upon each
// other, down to steps of a quarter of a degree and a 300th of the side, and compared on the fine ones. What it takes, for how many:
// docs/distributed.md.
std::vector<NearCopy> find_near_copies(const std::vector<Fingerprint>& fingerprints, const NearCopyOptions& options = {});

}  // namespace dura
