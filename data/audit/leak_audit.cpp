#include "data/audit/leak_audit.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <span>
#include <tuple>

#include "data/audit/copy_signature.h"
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
std::vector<float> local_contrast(std::span<const uint8_t> thumbnail, int64_t size, double smoothing) {
  const std::vector<double> values(thumbnail.begin(), thumbnail.end());
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

Tensor rows_of(const std::vector<std::vector<float>>& vectors, int64_t first, int64_t count) {
  const auto width = static_cast<int64_t>(vectors.front().size());
  Tensor rows = Tensor::empty({count, width}, DType::f32, Device::cpu, "fingerprints");
  for (int64_t i = 0; i < count; ++i) std::copy_n(vectors[static_cast<size_t>(first + i)].begin(), width, rows.data<float>() + i * width);
  return rows;
}

double likeness_of(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

std::vector<Placement> coarse_placements() {
  std::vector<Placement> all;
  for (int s = 0; s < symmetries; ++s)
    for (int angle = -rotation_steps; angle <= rotation_steps; ++angle) {
      all.push_back(symmetry(s));
      all.back().degrees = angle * rotation_step;
    }
  return all;
}

using Thumbnails = std::vector<std::vector<float>>;

Thumbnails coarse_of(const std::vector<Fingerprint>& fingerprints) {
  Thumbnails all(fingerprints.size());
  parallel_for(std::ssize(all), [&](int64_t i) { all[static_cast<size_t>(i)] = fingerprints[static_cast<size_t>(i)].coarse(); });
  return all;
}

// Pairs (i, j), i < j, whose coarse thumbnails are alike in some placement of j; the best of them.
std::vector<NearCopy> candidates_of_all_pairs(const std::vector<Fingerprint>& fingerprints, const SharedWork& shared) {
  std::map<std::pair<int64_t, int64_t>, NearCopy> found;
  const Thumbnails originals = coarse_of(fingerprints);
  Thumbnails turned(originals.size());
  for (const Placement& placement : coarse_placements()) {
    parallel_for(std::ssize(turned), [&](int64_t i) {
      turned[static_cast<size_t>(i)] = placed(originals[static_cast<size_t>(i)], Fingerprint::coarse_size, placement);
    });
    for_alike_rows(originals, turned, shared, [&](int64_t i, int64_t first_j, std::span<const float> products) {
      for (size_t k = 0; k < products.size(); ++k) {
        if (products[k] < coarse_likeness) continue;
        const int64_t j = first_j + static_cast<int64_t>(k);
        NearCopy& best = found[{i, j}];
        if (products[k] > best.likeness) best = {i, j, placement, products[k]};
      }
    });
  }
  std::vector<NearCopy> pairs;
  for (const auto& [rows, candidate] : found) pairs.push_back(candidate);
  return pairs;
}

// The best placement of the pair on the coarse thumbnails; likeness 0 where none is good enough.
NearCopy coarse_match(int64_t i, int64_t j, const std::vector<float>& first, const std::vector<float>& second) {
  NearCopy best{.first = i, .second = j, .placement = {}};
  for (const Placement& placement : coarse_placements()) {
    const double likeness = likeness_of(first, placed(second, Fingerprint::coarse_size, placement));
    if (likeness >= coarse_likeness && likeness > best.likeness) best.placement = placement, best.likeness = likeness;
  }
  return best;
}

// The same among the pairs that are close by their signatures. Placements go both ways: where j placed is like i, i placed in some way is
// nearly as much like j. So one product of i in all placements with all that are close leaves those that are worth a look.
std::vector<NearCopy> candidates_by_signature(const std::vector<Fingerprint>& fingerprints, const SharedWork& shared) {
  constexpr float worth_a_look = 0.78f;
  const Thumbnails coarse = coarse_of(fingerprints);
  const std::vector<Placement> placements = coarse_placements();
  std::vector<NearCopy> pairs;
  CopySignatures(fingerprints).for_close(shared, [&](int64_t i, const std::vector<int64_t>& close) {
    Thumbnails turned, others;
    for (const Placement& p : placements) turned.push_back(placed(coarse[static_cast<size_t>(i)], Fingerprint::coarse_size, p));
    for (const int64_t j : close) others.push_back(coarse[static_cast<size_t>(j)]);
    const Tensor products = Tensor::empty({std::ssize(others), std::ssize(turned)}, DType::f32, Device::cpu, "likeness");
    backend(Device::cpu).linear_forward(rows_of(others, 0, std::ssize(others)), rows_of(turned, 0, std::ssize(turned)), Tensor(), products);
    for (size_t k = 0; k < close.size(); ++k) {
      const float* likeness = products.data<float>() + k * turned.size();
      if (*std::max_element(likeness, likeness + turned.size()) < worth_a_look) continue;
      const NearCopy best = coarse_match(i, close[k], coarse[static_cast<size_t>(i)], others[k]);
      if (best.likeness > 0) pairs.push_back(best);
    }
  });
  return pairs;
}

// Climbs from the pair's coarse placement: angle and shift in turn, until no step helps.
void lay_upon(NearCopy& pair, const std::vector<float>& first, const std::vector<float>& second) {
  const auto likeness_at = [&](const Placement& p) { return likeness_of(first, placed(second, Fingerprint::fine_size, p)); };
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

// Lays all pairs upon each other. Fine thumbnails are made once for a square of so many rows and columns of the table of pairs: 9 KiB each,
// and more time to make than most pairs take.
void lay_all_upon(std::vector<NearCopy>& pairs, const std::vector<Fingerprint>& fingerprints) {
  constexpr int64_t side = 2048;
  const auto square = [](const NearCopy& p) { return std::pair(p.first / side, p.second / side); };
  std::sort(pairs.begin(), pairs.end(), [&](const NearCopy& a, const NearCopy& b) {
    return std::tuple(square(a), a.first, a.second) < std::tuple(square(b), b.first, b.second);
  });
  for (auto begin = pairs.begin(); begin != pairs.end();) {
    const auto end = std::find_if(begin, pairs.end(), [&](const NearCopy& p) { return square(p) != square(*begin); });
    std::vector<int64_t> pictures;
    for (auto p = begin; p != end; ++p) pictures.insert(pictures.end(), {p->first, p->second});
    std::sort(pictures.begin(), pictures.end());
    pictures.erase(std::unique(pictures.begin(), pictures.end()), pictures.end());
    Thumbnails fine(pictures.size());
    parallel_for(std::ssize(fine), [&](int64_t i) {
      const auto k = static_cast<size_t>(i);
      fine[k] = fingerprints[static_cast<size_t>(pictures[k])].fine();
    });
    const auto fine_of = [&](int64_t picture) -> const std::vector<float>& {
      return fine[static_cast<size_t>(std::lower_bound(pictures.begin(), pictures.end(), picture) - pictures.begin())];
    };
    parallel_for(end - begin, [&](int64_t k) { lay_upon(begin[k], fine_of(begin[k].first), fine_of(begin[k].second)); });
    begin = end;
  }
}

}  // namespace

Fingerprint fingerprint_of(const Image& image) {
  const Image gray = to_gray(image);
  Fingerprint f;
  const auto keep = [&](auto& pixels, int64_t size) {
    const Image thumbnail = resize_bilinear(gray, size, size);
    std::copy(thumbnail.pixels.begin(), thumbnail.pixels.end(), pixels.begin());
  };
  keep(f.coarse_pixels, Fingerprint::coarse_size);
  keep(f.fine_pixels, Fingerprint::fine_size);
  return f;
}

std::vector<float> Fingerprint::coarse() const { return local_contrast(coarse_pixels, coarse_size, 0); }
std::vector<float> Fingerprint::fine() const { return local_contrast(fine_pixels, fine_size, 0.9); }

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
  // The symmetry alone, in a frame of zeros that is as wide as a sample that lies outside reaches.
  constexpr int64_t frame = 2;
  const int64_t width = size + 2 * frame;
  std::vector<float> laid(static_cast<size_t>(width * width));
  const auto at = [&](int64_t r, int64_t c) { return laid.data() + (r + frame) * width + c + frame; };
  for (int64_t r = 0; r < size; ++r)
    for (int64_t c = 0; c < size; ++c) {
      int64_t from_r = p.flipped_vertically ? size - 1 - r : r, from_c = p.flipped_horizontally ? size - 1 - c : c;
      if (p.transposed) std::swap(from_r, from_c);
      *at(r, c) = square[static_cast<size_t>(from_r * size + from_c)];
    }
  std::vector<float> result(square.size());
  if (p.degrees == 0 && p.rows == 0 && p.columns == 0) {
    for (int64_t r = 0; r < size; ++r) std::copy_n(at(r, 0), size, result.data() + r * size);
    return result;
  }
  const double centre = 0.5 * static_cast<double>(size - 1), cos = std::cos(p.degrees * degree), sin = std::sin(p.degrees * degree);
  const auto floor_of = [](double v) {  // std::floor is a call, where nothing newer than SSE2 is asked for
    const auto whole = static_cast<int64_t>(v);
    return whole - (v < static_cast<double>(whole));
  };
  for (int64_t r = 0; r < size; ++r)
    for (int64_t c = 0; c < size; ++c) {
      const double y = static_cast<double>(r) - centre - p.rows * static_cast<double>(size),
                   x = static_cast<double>(c) - centre - p.columns * static_cast<double>(size);
      const double from_y = cos * y - sin * x + centre, from_x = sin * y + cos * x + centre;
      const int64_t top = floor_of(from_y), left = floor_of(from_x);
      const auto dy = static_cast<float>(from_y - static_cast<double>(top)), dx = static_cast<float>(from_x - static_cast<double>(left));
      const float* above = at(std::clamp(top, -frame, size), std::clamp(left, -frame, size));
      const float* below = above + width;
      result[static_cast<size_t>(r * size + c)] =
          (above[0] * (1 - dx) + above[1] * dx) * (1 - dy) + (below[0] * (1 - dx) + below[1] * dx) * dy;
    }
  return result;
}

std::vector<float> placed(const std::vector<float>& thumbnail, int64_t size, const Placement& p) {
  std::vector<float> result = moved(thumbnail, size, p);
  if (p.degrees != 0 || p.rows != 0 || p.columns != 0) normalise(result);
  return result;
}

void for_alike_rows(const std::vector<std::vector<float>>& left, const std::vector<std::vector<float>>& right, const SharedWork& shared,
                    const std::function<void(int64_t i, int64_t first_j, std::span<const float> products)>& use) {
  const auto n = static_cast<int64_t>(left.size());
  for (int64_t i0 = shared.part * alike_block; i0 < n; i0 += shared.parts * alike_block) {
    const int64_t height = std::min(alike_block, n - i0);
    const Tensor rows = rows_of(left, i0, height);
    for (int64_t j0 = i0; j0 < n; j0 += alike_block) {  // below the diagonal are the same pairs
      const int64_t width = std::min(alike_block, n - j0);
      const Tensor products = Tensor::empty({height, width}, DType::f32, Device::cpu, "likeness");
      backend(Device::cpu).linear_forward(rows, rows_of(right, j0, width), Tensor(), products);
      for (int64_t i = 0; i < height; ++i) {
        const int64_t first = std::max<int64_t>(0, i0 + i + 1 - j0);
        if (first < width) use(i0 + i, j0 + first, {products.data<float>() + i * width + first, static_cast<size_t>(width - first)});
      }
    }
  }
}

std::vector<NearCopy> find_near_copies(const std::vector<Fingerprint>& fingerprints, const NearCopyOptions& options) {
  if (fingerprints.size() < 2) return {};
  const SharedWork& shared = options.shared;
  std::vector<NearCopy> pairs = std::ssize(fingerprints) <= options.all_pairs_up_to ? candidates_of_all_pairs(fingerprints, shared)
                                                                                    : candidates_by_signature(fingerprints, shared);
  // Which process found how many candidates is chance: they are shared out anew.
  pairs = shared.in_a_row(std::move(pairs));
  const Stretch own = shared.own(std::ssize(pairs));
  pairs = {pairs.begin() + own.begin, pairs.begin() + own.end};
  lay_all_upon(pairs, fingerprints);
  std::erase_if(pairs, [](const NearCopy& pair) { return pair.likeness < least_likeness; });
  pairs = shared.in_a_row(std::move(pairs));
  std::sort(pairs.begin(), pairs.end(),
            [](const NearCopy& a, const NearCopy& b) { return std::pair(a.first, a.second) < std::pair(b.first, b.second); });
  return pairs;
}

}  // namespace dura
