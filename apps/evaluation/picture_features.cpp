#include "apps/evaluation/picture_features.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

namespace dura {
namespace {

constexpr double not_defined = std::numeric_limits<double>::quiet_NaN();
constexpr double pi = 3.14159265358979323846;

// A yes or no for each pixel.
struct PixelSet {
  int64_t height, width;
  std::vector<uint8_t> inside;

  PixelSet(int64_t h, int64_t w) : height(h), width(w), inside(static_cast<size_t>(h * w)) {}
  bool has(int64_t r, int64_t c) const { return r >= 0 && c >= 0 && r < height && c < width && inside[static_cast<size_t>(r * width + c)]; }
  int64_t count() const { return std::count(inside.begin(), inside.end(), 1); }
};

// Pixels reached from `start` over neighbours (8 of them, or 4) in the set; they are taken out of it.
std::vector<int64_t> take_region(PixelSet& set, int64_t start, bool eight) {
  std::vector<int64_t> region = {start};
  set.inside[static_cast<size_t>(start)] = 0;
  for (size_t k = 0; k < region.size(); ++k) {
    const int64_t r = region[k] / set.width, c = region[k] % set.width;
    for (int64_t dr = -1; dr <= 1; ++dr)
      for (int64_t dc = -1; dc <= 1; ++dc) {
        if ((!eight && dr != 0 && dc != 0) || !set.has(r + dr, c + dc)) continue;
        const int64_t next = (r + dr) * set.width + c + dc;
        set.inside[static_cast<size_t>(next)] = 0;
        region.push_back(next);
      }
  }
  return region;
}

// Everything but the dark that is connected with the picture's edge: dark ventricles belong to the head.
PixelSet head_of(const Image& gray) {
  std::vector<uint8_t> sorted = gray.pixels;
  const auto place = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() * 99 / 100);
  std::nth_element(sorted.begin(), place, sorted.end());
  const int dark = std::max(10, *place / 10);
  PixelSet background(gray.height, gray.width), head(gray.height, gray.width);
  for (size_t i = 0; i < gray.pixels.size(); ++i) background.inside[i] = gray.pixels[i] < dark;
  std::fill(head.inside.begin(), head.inside.end(), uint8_t{1});
  for (int64_t i = 0; i < gray.height * gray.width; ++i) {
    const int64_t r = i / gray.width, c = i % gray.width;
    const bool edge = r == 0 || c == 0 || r == gray.height - 1 || c == gray.width - 1;
    if (!edge || !background.has(r, c)) continue;
    for (const int64_t pixel : take_region(background, i, false)) head.inside[static_cast<size_t>(pixel)] = 0;
  }
  return head;
}

// The part of the set from which every way out is longer than `depth` steps along rows and columns; outside of the picture is outside of
// the set.
PixelSet eroded(const PixelSet& set, int64_t depth) {
  const int64_t h = set.height, w = set.width;
  std::vector<int64_t> distance(set.inside.size());
  const auto at = [&](int64_t r, int64_t c) { return r < 0 || c < 0 || r >= h || c >= w ? 0 : distance[static_cast<size_t>(r * w + c)]; };
  const int64_t far = h + w;
  for (int64_t r = 0; r < h; ++r)
    for (int64_t c = 0; c < w; ++c)
      distance[static_cast<size_t>(r * w + c)] = set.has(r, c) ? std::min({far, at(r - 1, c) + 1, at(r, c - 1) + 1}) : 0;
  for (int64_t r = h - 1; r >= 0; --r)
    for (int64_t c = w - 1; c >= 0; --c) {
      int64_t& d = distance[static_cast<size_t>(r * w + c)];
      d = std::min({d, at(r + 1, c) + 1, at(r, c + 1) + 1});
    }
  PixelSet inner(h, w);
  for (size_t i = 0; i < distance.size(); ++i) inner.inside[i] = distance[i] > depth;
  return inner;
}

bool reaches_edge(const PixelSet& set, const std::vector<int64_t>& region) {
  return std::any_of(region.begin(), region.end(), [&](int64_t i) {
    const int64_t r = i / set.width, c = i % set.width;
    return !set.has(r - 1, c) || !set.has(r + 1, c) || !set.has(r, c - 1) || !set.has(r, c + 1);
  });
}

// Regions of the inner part above a grey level.
std::vector<std::vector<int64_t>> regions_above(const Image& gray, const PixelSet& inner, double level) {
  PixelSet bright(gray.height, gray.width);
  for (size_t i = 0; i < gray.pixels.size(); ++i) bright.inside[i] = inner.inside[i] && gray.pixels[i] > level;
  std::vector<std::vector<int64_t>> regions;
  for (int64_t i = 0; i < gray.height * gray.width; ++i)
    if (bright.inside[static_cast<size_t>(i)]) regions.push_back(take_region(bright, i, true));
  return regions;
}

}  // namespace

PictureFeatures measure_picture(const Image& slice) {
  const Image gray = to_gray(slice);
  const PixelSet head = head_of(gray);
  const double diameter = 2 * std::sqrt(static_cast<double>(head.count()) / pi);
  const PixelSet inner = eroded(head, static_cast<int64_t>(0.08 * diameter));
  std::array<double, 256> histogram{};
  double count = 0, sum = 0, squares = 0;
  for (size_t i = 0; i < gray.pixels.size(); ++i) {
    if (!inner.inside[i]) continue;
    const double v = gray.pixels[i];
    ++histogram[gray.pixels[i]], ++count, sum += v, squares += v * v;
  }
  PictureFeatures f;
  if (count == 0) {
    f.mean_intensity = f.brightness = not_defined;
    return f;
  }
  f.mean_intensity = sum / count;
  const double deviation = std::sqrt(std::max(0.0, squares / count - f.mean_intensity * f.mean_intensity));
  double above = 0;
  size_t level = histogram.size();
  while (level > 0 && above <= 0.01 * count) above += histogram[--level];
  f.brightness = static_cast<double>(level);

  for (const auto& region : regions_above(gray, inner, f.mean_intensity + 3 * deviation))
    f.bright_spots += region.size() >= 2 && static_cast<double>(region.size()) <= 0.002 * count;
  for (const auto& region : regions_above(gray, inner, f.mean_intensity + 2 * deviation))
    f.bright_at_border = f.bright_at_border || (static_cast<double>(region.size()) >= 0.005 * count && reaches_edge(inner, region));
  return f;
}

}  // namespace dura
