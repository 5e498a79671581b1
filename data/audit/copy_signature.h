// Which pairs of very many pictures may be copies at all, found without laying each pair upon each other in every way: a row of numbers for
// each picture that stays nearly the same when the picture is mirrored, turned, shifted a little, brightened or stored anew.
//
// Around the point where the contrast of a thumbnail is centred, on each of some rings, the magnitudes of the first Fourier coefficients
// along the ring: a rotation or reflection changes their phases alone. How far each of them, and all together, still move between a picture
// and its copies is measured on made-up copies of some of the pictures; distances are in units of that (Mahalanobis 1936).
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "data/audit/leak_audit.h"

namespace dura {

class CopySignatures {
 public:
  static constexpr int64_t rings = 14, orders = 8, size = rings * orders;
  // Copies lie closer than this. The made-up ones have a distance of sqrt(size) = 10.6 in the square mean. Of 496 copies of synthetic
  // slices that the comparison of all pairs found, the farthest lay at 20.4, and the limit was chosen in view of them; of pairs of slices
  // of different patients about 0.1 % lie closer.
  static constexpr double limit = 24;

  explicit CopySignatures(const std::vector<Fingerprint>& fingerprints);

  double distance(int64_t i, int64_t j) const;
  // For each i, the j > i that lie closer than the limit, in order; rows i are dealt out to the processes that share the work, by blocks.
  // By matrix products: the time grows with the square of the count, but 128 times more slowly than that of laying all pairs upon each
  // other.
  void for_close(const SharedWork& shared, const std::function<void(int64_t i, const std::vector<int64_t>& close)>& use) const;

 private:
  std::vector<std::vector<float>> rows_;
  std::vector<float> squares_;  // of their lengths
};

}  // namespace dura
