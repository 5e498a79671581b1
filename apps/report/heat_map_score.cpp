#include "apps/report/heat_map_score.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace dura {

Image head_region(const Image& gray) {
  DURA_CHECK(gray.channels == 1, "head region: a gray picture is expected, got ", gray.channels, " channels");
  std::array<int64_t, 256> histogram{};
  for (uint8_t v : gray.pixels) ++histogram[v];
  int64_t above = 0, p99 = 255;
  while (p99 > 0 && (above += histogram[static_cast<size_t>(p99)]) * 100 < static_cast<int64_t>(gray.pixels.size())) --p99;
  const double threshold = static_cast<double>(p99) / 10;
  const int64_t H = gray.height, W = gray.width;
  std::vector<int64_t> top(static_cast<size_t>(W), H), bottom(static_cast<size_t>(W), -1), left(static_cast<size_t>(H), W), right(static_cast<size_t>(H), -1);
  for (int64_t r = 0; r < H; ++r)
    for (int64_t c = 0; c < W; ++c) {
      if (gray.at(r, c) <= threshold) continue;
      top[static_cast<size_t>(c)] = std::min(top[static_cast<size_t>(c)], r);
      bottom[static_cast<size_t>(c)] = r;
      left[static_cast<size_t>(r)] = std::min(left[static_cast<size_t>(r)], c);
      right[static_cast<size_t>(r)] = c;
    }
  Image region(H, W, 1);
  for (int64_t r = 0; r < H; ++r)
    for (int64_t c = 0; c < W; ++c) {
      const bool inside = r >= top[static_cast<size_t>(c)] && r <= bottom[static_cast<size_t>(c)] && c >= left[static_cast<size_t>(r)] && c <= right[static_cast<size_t>(r)];
      region.at(r, c) = inside ? 255 : 0;
    }
  return region;
}

Pixel centre_of(const Image& region) {
  double rows = 0, columns = 0, count = 0;
  for (int64_t r = 0; r < region.height; ++r)
    for (int64_t c = 0; c < region.width; ++c)
      if (region.at(r, c)) rows += static_cast<double>(r), columns += static_cast<double>(c), count += 1;
  if (count == 0) return {region.height / 2, region.width / 2};
  return {static_cast<int64_t>(std::lround(rows / count)), static_cast<int64_t>(std::lround(columns / count))};
}

Pixel brightest_smoothed(const Image& gray, const Image& region) {
  const int64_t H = gray.height, W = gray.width, half = std::max<int64_t>(1, std::min(H, W) / 24);
  // Sums over rectangles by an integral image.
  std::vector<int64_t> integral(static_cast<size_t>((H + 1) * (W + 1)));
  const auto at = [&](int64_t r, int64_t c) -> int64_t& { return integral[static_cast<size_t>(r * (W + 1) + c)]; };
  for (int64_t r = 0; r < H; ++r)
    for (int64_t c = 0; c < W; ++c) at(r + 1, c + 1) = at(r, c + 1) + at(r + 1, c) - at(r, c) + gray.at(r, c);
  Pixel best;
  double largest = -1;
  for (int64_t r = 0; r < H; ++r)
    for (int64_t c = 0; c < W; ++c) {
      if (!region.at(r, c)) continue;
      const int64_t r0 = std::max<int64_t>(0, r - half), r1 = std::min(H, r + half + 1), c0 = std::max<int64_t>(0, c - half), c1 = std::min(W, c + half + 1);
      const double mean = static_cast<double>(at(r1, c1) - at(r0, c1) - at(r1, c0) + at(r0, c0)) / static_cast<double>((r1 - r0) * (c1 - c0));
      if (mean > largest) largest = mean, best = {r, c};
    }
  return best;
}

Pixel peak_of(const HeatMap& map) {
  const auto at = std::max_element(map.values.begin(), map.values.end()) - map.values.begin();
  return {at / map.width, at % map.width};
}

PointingRecord score_pointing(const Image& gray, const Image& mask, const Image& region, const HeatMap& map, const HeatMap& random_map) {
  DURA_CHECK(mask.height == gray.height && mask.width == gray.width && region.height == gray.height && region.width == gray.width, "heat map score: the picture is ", gray.height, "x",
             gray.width, ", its mask ", mask.height, "x", mask.width, ", its region ", region.height, "x", region.width);
  PointingRecord record;
  int64_t lesion = 0, inside = 0;
  for (size_t i = 0; i < mask.pixels.size(); ++i) {
    lesion += mask.pixels[i] != 0;
    inside += mask.pixels[i] != 0 || region.pixels[i] != 0;
  }
  record.lesion_share = inside ? static_cast<double>(lesion) / static_cast<double>(inside) : 0;
  const auto hit = [&](Pixel p) { return mask.at(p.row, p.column) != 0; };
  record.centre = hit(centre_of(region));
  record.brightest = hit(brightest_smoothed(gray, region));
  if (random_map.has_evidence()) record.random_network = hit(peak_of(resize(random_map, gray.height, gray.width)));
  if (!map.has_evidence()) return record;
  const HeatMap full = resize(map, gray.height, gray.width);
  record.network = hit(peak_of(full));
  const double half = static_cast<double>(*std::max_element(full.values.begin(), full.values.end())) / 2;
  double all = 0, in_lesion = 0;
  int64_t both = 0, either = 0;
  for (size_t i = 0; i < full.values.size(); ++i) {
    const bool m = mask.pixels[i] != 0, hot = static_cast<double>(full.values[i]) >= half;
    all += static_cast<double>(full.values[i]);
    if (m) in_lesion += static_cast<double>(full.values[i]);
    both += m && hot;
    either += m || hot;
  }
  record.energy = in_lesion / all;
  record.overlap = either ? static_cast<double>(both) / static_cast<double>(either) : 0;
  return record;
}

double binomial_tail(int64_t trials, int64_t hits, double p) {
  if (hits <= 0) return 1;
  if (p <= 0) return 0;
  if (p >= 1) return 1;
  double sum = 0;
  for (int64_t k = hits; k <= trials; ++k) {
    const auto n = static_cast<double>(trials), x = static_cast<double>(k);
    sum += std::exp(std::lgamma(n + 1) - std::lgamma(x + 1) - std::lgamma(n - x + 1) + x * std::log(p) + (n - x) * std::log1p(-p));
  }
  return std::min(1.0, sum);
}

PointingSummary summarise(const std::vector<PointingRecord>& records) {
  PointingSummary s{.pictures = static_cast<int64_t>(records.size())};
  if (records.empty()) return s;
  int64_t hits = 0;
  for (const PointingRecord& r : records) {
    s.lesion_share += r.lesion_share;
    s.network += r.network;
    s.random_network += r.random_network;
    s.centre += r.centre;
    s.brightest += r.brightest;
    s.energy += r.energy;
    s.overlap += r.overlap;
    hits += r.network;
  }
  const auto n = static_cast<double>(records.size());
  for (double* v : {&s.lesion_share, &s.network, &s.random_network, &s.centre, &s.brightest, &s.energy, &s.overlap}) *v /= n;
  s.p_value = binomial_tail(s.pictures, hits, s.lesion_share);
  return s;
}

std::string PointingSummary::text() const {
  char line[400];
  std::snprintf(line, sizeof line,
                "heat maps on %lld pictures with a lesion: peak inside of it %.3f (%.1fx its share %.3f, p = %.1e); centre of the brain %.3f, brightest smoothed point %.3f, random weights "
                "%.3f; energy inside %.3f, overlap at half height %.3f",
                static_cast<long long>(pictures), network, lesion_share > 0 ? network / lesion_share : 0.0, lesion_share, p_value, centre, brightest, random_network, energy, overlap);
  return line;
}

}  // namespace dura
