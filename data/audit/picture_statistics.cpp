#include "data/audit/picture_statistics.h"

#include <cmath>
#include <cstdlib>

namespace dura {
namespace {

constexpr size_t dark_level = 16, bright_level = 200;

struct Moments {
  double mean = 0, deviation = 0, skewness = 0, kurtosis = 0;  // the last two: 0 where all levels are equal
};

Moments moments(const std::array<double, 256>& shares) {
  Moments m;
  for (size_t v = 0; v < 256; ++v) m.mean += shares[v] * static_cast<double>(v);
  double second = 0, third = 0, fourth = 0;
  for (size_t v = 0; v < 256; ++v) {
    const double d = static_cast<double>(v) - m.mean;
    second += shares[v] * d * d, third += shares[v] * d * d * d, fourth += shares[v] * d * d * d * d;
  }
  m.deviation = std::sqrt(second);
  if (second > 0) m.skewness = third / (second * m.deviation), m.kurtosis = fourth / (second * second) - 3;
  return m;
}

// The smallest level with at least this share of the pixels at or below it.
double percentile(const std::array<double, 256>& shares, double share) {
  double below = 0;
  for (size_t v = 0; v < 256; ++v)
    if ((below += shares[v]) >= share - 1e-12) return static_cast<double>(v);
  return 255;
}

// Mean absolute difference to the neighbour on the right and below.
double edge_energy(const Image& gray) {
  double sum = 0, count = 0;
  for (int64_t r = 0; r < gray.height; ++r)
    for (int64_t c = 0; c < gray.width; ++c) {
      if (c + 1 < gray.width) sum += std::abs(gray.at(r, c) - gray.at(r, c + 1)), ++count;
      if (r + 1 < gray.height) sum += std::abs(gray.at(r, c) - gray.at(r + 1, c)), ++count;
    }
  return count > 0 ? sum / count : 0;
}

struct Place {
  double center = 0.5, spread = 0;
};

// Of brightness summed over the other direction. A black picture has its centre in the middle.
Place place(const std::vector<double>& light) {
  double total = 0, first = 0, second = 0;
  for (size_t i = 0; i < light.size(); ++i) {
    const double x = (static_cast<double>(i) + 0.5) / static_cast<double>(light.size());
    total += light[i], first += light[i] * x, second += light[i] * x * x;
  }
  if (total == 0) return {};
  const double mean = first / total;
  return {.center = mean, .spread = std::sqrt(std::max(0.0, second / total - mean * mean))};
}

}  // namespace

PictureStatistics picture_statistics(const Image& gray) {
  DURA_CHECK(gray.channels == 1 && !gray.empty(), "picture_statistics: a picture with one channel is needed, this one has ", gray.channels);
  std::array<double, 256> shares{};
  std::vector<double> rows(static_cast<size_t>(gray.height), 0), columns(static_cast<size_t>(gray.width), 0);
  for (int64_t r = 0; r < gray.height; ++r)
    for (int64_t c = 0; c < gray.width; ++c) {
      const uint8_t v = gray.at(r, c);
      ++shares[v];
      rows[static_cast<size_t>(r)] += v, columns[static_cast<size_t>(c)] += v;
    }
  double dark = 0, bright = 0, entropy = 0;
  for (size_t v = 0; v < 256; ++v) {
    double& share = shares[v];
    share /= static_cast<double>(gray.pixels.size());
    if (v < dark_level) dark += share;
    if (v > bright_level) bright += share;
    if (share > 0) entropy -= share * std::log2(share);
  }
  const Moments m = moments(shares);
  const Place vertical = place(rows), horizontal = place(columns);
  return {m.mean,
          m.deviation,
          m.skewness,
          m.kurtosis,
          percentile(shares, 0.05),
          percentile(shares, 0.25),
          percentile(shares, 0.5),
          percentile(shares, 0.75),
          percentile(shares, 0.95),
          percentile(shares, 0.99),
          dark,
          bright,
          entropy,
          edge_energy(gray),
          vertical.center,
          horizontal.center,
          vertical.spread,
          horizontal.spread,
          static_cast<double>(gray.height),
          static_cast<double>(gray.width)};
}

}  // namespace dura
