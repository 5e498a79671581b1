#include "data/audit/leak_audit.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "engine/core/backend.h"
#include "engine/base/parallel.h"

namespace dura {
namespace {

// What a copy that is rotated by half a step, shifted by half a coarse pixel or compressed anew still reaches on the coarse thumbnails.
constexpr double coarse_likeness = 0.86;
constexpr double hopeless = 0.5, nearly = 0.93;
constexpr int rotation_steps = 3;  // either way
constexpr double rotation_step = 3;
constexpr int64_t block = 512;  // rows of a matrix product: its result is 1 MB at most for 512 columns

using Candidates = std::map<std::pair<int64_t, int64_t>, NearCopy>;  // by first and second

Tensor rows_of(const std::vector<std::vector<float>>& vectors, int64_t first, int64_t count) {
  const auto width = static_cast<int64_t>(vectors.front().size());
  Tensor rows = Tensor::empty({count, width}, DType::f32, Device::cpu, "fingerprints");
  for (int64_t i = 0; i < count; ++i) std::copy_n(vectors[static_cast<size_t>(first + i)].begin(), width, rows.data<float>() + i * width);
  return rows;
}

// Pairs (i, j), i < j, whose coarse thumbnails are alike when j is placed so.
void add_candidates(const std::vector<std::vector<float>>& originals, const std::vector<std::vector<float>>& turned,
                    const Placement& placement, Candidates& found) {
  const auto n = static_cast<int64_t>(originals.size());
  for (int64_t i0 = 0; i0 < n; i0 += block) {
    const int64_t height = std::min(block, n - i0);
    const Tensor left = rows_of(originals, i0, height);
    for (int64_t j0 = i0; j0 < n; j0 += block) {  // below the diagonal are the same pairs
      const int64_t width = std::min(block, n - j0);
      const Tensor products = Tensor::empty({height, width}, DType::f32, Device::cpu, "likeness");
      backend(Device::cpu).linear_forward(left, rows_of(turned, j0, width), Tensor(), products);
      for (int64_t i = 0; i < height; ++i)
        for (int64_t j = std::max<int64_t>(0, i0 + i + 1 - j0); j < width; ++j) {
          const float likeness = products.data<float>()[i * width + j];
          if (likeness < coarse_likeness) continue;
          NearCopy& best = found[{i0 + i, j0 + j}];
          if (likeness > best.likeness) best = {i0 + i, j0 + j, placement, likeness};
        }
    }
  }
}

double likeness_of(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

// Climbs from the pair's coarse placement: angle and shift in turn, until no step helps.
void lay_upon(NearCopy& pair, const Fingerprint& a, const Fingerprint& b) {
  constexpr int64_t size = Fingerprint::fine_size;
  const auto likeness_at = [&](const Placement& p) { return likeness_of(a.fine, placed(b.fine, size, p)); };
  Placement& placement = pair.placement;
  double& best = pair.likeness;
  best = likeness_at(placement);
  // A copy lies within 1.5 degrees of its coarse placement and has half of its likeness already, and nearly all of it after the wide steps:
  // most candidates end at one of the two.
  if (best < hopeless) return;
  for (double degrees : {1.5, 0.5, 0.25}) {
    if (degrees < 1.5 && best < nearly) break;
    for (bool better = true; better;) {
      better = false;
      const double shift = degrees / 75;  // 0.02, 0.0067 of the side: what the rotation moves a pixel halfway out, about
      for (int move = 0; move < 6; ++move) {
        Placement next = placement;
        const double sign = move % 2 ? 1 : -1;
        if (move / 2 == 0) next.degrees += sign * degrees;
        if (move / 2 == 1) next.rows += sign * shift;
        if (move / 2 == 2) next.columns += sign * shift;
        if (const double likeness = likeness_at(next); likeness > best + 1e-6) best = likeness, placement = next, better = true;
      }
    }
  }
}

}  // namespace

std::vector<NearCopy> find_near_copies(const std::vector<Fingerprint>& fingerprints) {
  Candidates candidates;
  std::vector<std::vector<float>> originals(fingerprints.size()), turned(fingerprints.size());
  const auto n = static_cast<int64_t>(fingerprints.size());
  if (n < 2) return {};
  for (size_t i = 0; i < fingerprints.size(); ++i) originals[i] = fingerprints[i].coarse;
  for (int s = 0; s < symmetries; ++s)
    for (int angle = -rotation_steps; angle <= rotation_steps; ++angle) {
      Placement placement = symmetry(s);
      placement.degrees = angle * rotation_step;
      parallel_for(n, [&](int64_t i) {
        turned[static_cast<size_t>(i)] = placed(fingerprints[static_cast<size_t>(i)].coarse, Fingerprint::coarse_size, placement);
      });
      add_candidates(originals, turned, placement, candidates);
    }

  std::vector<NearCopy> pairs;
  for (const auto& [rows, candidate] : candidates) pairs.push_back(candidate);
  parallel_for(static_cast<int64_t>(pairs.size()), [&](int64_t k) {
    NearCopy& pair = pairs[static_cast<size_t>(k)];
    lay_upon(pair, fingerprints[static_cast<size_t>(pair.first)], fingerprints[static_cast<size_t>(pair.second)]);
  });
  std::erase_if(pairs, [](const NearCopy& pair) { return pair.likeness < least_likeness; });
  return pairs;
}

}  // namespace dura
