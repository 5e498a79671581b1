#include "data/audit/leak_audit.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>

#include "data/image/resize.h"
#include "engine/base/parallel.h"
#include "engine/core/backend.h"

namespace dura {

namespace {

constexpr double degree = std::numbers::pi / 180;

void normalise(std::vector<float>& values) {
  double sum = 0, squares = 0;
  for (float v : values) sum += v;
  const double mean = sum / static_cast<double>(values.size());
  for (float v : values) squares += (v - mean) * (v - mean);
  // A level's difference from picture to picture is noise: below it there is nothing to compare.
  const double length = std::sqrt(squares);
  for (float& v : values) v = length > 1e-6 ? static_cast<float>((v - mean) / length) : 0.0f;
}

// Blurred along both axes, edges repeated; sigma in pixels.
std::vector<double> blurred(const std::vector<double>& values, int64_t size, double sigma) {
  const auto reach = static_cast<int64_t>(std::ceil(2.5 * sigma));
  std::vector<double> taps;
  double sum = 0;
  for (int64_t k = -reach; k <= reach; ++k)
    taps.push_back(std::exp(-0.5 * static_cast<double>(k * k) / (sigma * sigma))), sum += taps.back();
  const auto pass = [&](const std::vector<double>& from, int64_t line, int64_t step) {
    std::vector<double> to(from.size());
    for (int64_t l = 0; l < size; ++l)
      for (int64_t i = 0; i < size; ++i) {
        double total = 0;
        for (int64_t k = -reach; k <= reach; ++k)
          total +=
              taps[static_cast<size_t>(k + reach)] * from[static_cast<size_t>(l * line + std::clamp<int64_t>(i + k, 0, size - 1) * step)];
        to[static_cast<size_t>(l * line + i * step)] = total / sum;
      }
    return to;
  };
  return pass(pass(values, size, 1), 1, size);
}

// What is finer than about one thumbnail pixel is lost when a copy is rotated, and what is coarser than an eighth of the side all heads
// have in common: both are taken out, as the difference of two Gaussians.
std::vector<float> local_contrast(const Image& thumbnail, double smoothing) {
  const int64_t size = thumbnail.height;
  const std::vector<double> values(thumbnail.pixels.begin(), thumbnail.pixels.end());
  const std::vector<double> fine = smoothing > 0 ? blurred(values, size, smoothing) : values,
                            coarse = blurred(values, size, static_cast<double>(size) / 8);
  std::vector<float> contrast(values.size());
  for (size_t i = 0; i < contrast.size(); ++i) contrast[i] = static_cast<float>(fine[i] - coarse[i]);
  normalise(contrast);
  return contrast;
}

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

Fingerprint fingerprint_of(const Image& image) {
  const Image gray = to_gray(image);
  return {local_contrast(resize_bilinear(gray, Fingerprint::coarse_size, Fingerprint::coarse_size), 0),
          local_contrast(resize_bilinear(gray, Fingerprint::fine_size, Fingerprint::fine_size), 0.9)};
}

Placement symmetry(int number) {
  return {.transposed = (number & 4) != 0, .flipped_vertically = (number & 2) != 0, .flipped_horizontally = (number & 1) != 0};
}

std::string Placement::name() const {
  constexpr const char* names[] = {"the same way up",           "mirrored left to right",        "mirrored top to bottom",
                                   "turned by 180 degrees",     "mirrored on the diagonal",      "turned right by 90 degrees",
                                   "turned left by 90 degrees", "mirrored on the other diagonal"};
  std::string text = names[4 * transposed + 2 * flipped_vertically + flipped_horizontally];
  if (std::abs(degrees) >= 0.5) text += concat(", rotated by ", std::round(degrees * 2) / 2, " degrees");
  return text;
}

std::vector<float> moved(const std::vector<float>& square, int64_t size, const Placement& p) {
  const double centre = 0.5 * static_cast<double>(size - 1), cos = std::cos(p.degrees * degree), sin = std::sin(p.degrees * degree);
  const bool moves = p.degrees != 0 || p.rows != 0 || p.columns != 0;
  const auto laid = [&](int64_t r, int64_t c) -> float {  // the symmetry alone
    if (r < 0 || c < 0 || r >= size || c >= size) return 0;
    if (p.flipped_horizontally) c = size - 1 - c;
    if (p.flipped_vertically) r = size - 1 - r;
    if (p.transposed) std::swap(r, c);
    return square[static_cast<size_t>(r * size + c)];
  };
  std::vector<float> result(square.size());
  for (int64_t r = 0; r < size; ++r)
    for (int64_t c = 0; c < size; ++c) {
      float& out = result[static_cast<size_t>(r * size + c)];
      if (!moves) {
        out = laid(r, c);
        continue;
      }
      const double y = static_cast<double>(r) - centre - p.rows * static_cast<double>(size),
                   x = static_cast<double>(c) - centre - p.columns * static_cast<double>(size);
      const double from_y = cos * y - sin * x + centre, from_x = sin * y + cos * x + centre;
      const double top = std::floor(from_y), left = std::floor(from_x);
      const auto dy = static_cast<float>(from_y - top), dx = static_cast<float>(from_x - left);
      const auto row = static_cast<int64_t>(top), column = static_cast<int64_t>(left);
      out = (laid(row, column) * (1 - dx) + laid(row, column + 1) * dx) * (1 - dy) +
            (laid(row + 1, column) * (1 - dx) + laid(row + 1, column + 1) * dx) * dy;
    }
  return result;
}

std::vector<float> placed(const std::vector<float>& thumbnail, int64_t size, const Placement& p) {
  std::vector<float> result = moved(thumbnail, size, p);
  if (p.degrees != 0 || p.rows != 0 || p.columns != 0) normalise(result);
  return result;
}

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
