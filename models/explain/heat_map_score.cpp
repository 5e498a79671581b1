#include "models/explain/heat_map_score.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/base/text.h"
#include "models/explain/brain_region.h"

namespace dura {

std::string Tolerance::text() const { return concat(amount, millimetres ? " mm" : " px"); }

Tolerance parse_tolerance(const std::string& text) {
  const bool has_unit = text.ends_with("px") || text.ends_with("mm");
  const double amount = parse_number(text.substr(0, text.size() - (has_unit ? 2 : 0))).value_or(-1);
  if (!(amount >= 0 && amount <= 1000) || (!has_unit && amount != 0))
    fail_usage("the tolerance '", text, "' is not a radius with its unit. Use 0, or for example 15px or 5mm.");
  return {amount, text.ends_with("mm")};
}

Image grow(const Image& mask, const Tolerance& tolerance, const PixelPitch& pitch) {
  DURA_CHECK(!tolerance.millimetres || tolerance.amount == 0 || (pitch.row > 0 && pitch.column > 0),
             "a tolerance in mm needs the size of pixels: give the manifest a column mm_per_pixel, or the tolerance in px");
  const double rows = tolerance.amount / (tolerance.millimetres ? std::max(pitch.row, 1e-9) : 1),
               columns = tolerance.amount / (tolerance.millimetres ? std::max(pitch.column, 1e-9) : 1);
  const auto up = static_cast<int64_t>(rows), left = static_cast<int64_t>(columns);
  Image out = mask;
  for (int64_t r = 0; r < mask.height; ++r)
    for (int64_t c = 0; c < mask.width; ++c) {
      if (!on_border(mask, r, c)) continue;
      for (int64_t y = std::max<int64_t>(0, r - up); y <= std::min(mask.height - 1, r + up); ++y)
        for (int64_t x = std::max<int64_t>(0, c - left); x <= std::min(mask.width - 1, c + left); ++x) {
          const double dy = y == r ? 0 : static_cast<double>(y - r) / rows, dx = x == c ? 0 : static_cast<double>(x - c) / columns;
          if (dy * dy + dx * dx <= 1) out.at(y, x) = 255;
        }
    }
  return out;
}

MapScore& MapScore::operator+=(const MapScore& o) {
  pointing += o.pointing, energy += o.energy, iou_half += o.iou_half, iou_otsu += o.iou_otsu;
  return *this;
}
MapScore MapScore::operator/(double n) const { return {pointing / n, energy / n, iou_half / n, iou_otsu / n}; }

namespace {

double share_inside(const std::vector<float>& values, const Image& mask) {
  double all = 0, in_lesion = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    all += static_cast<double>(values[i]);
    if (mask.pixels[i]) in_lesion += static_cast<double>(values[i]);
  }
  return all > 0 ? in_lesion / all : 0;
}

// Intersection over union of the lesion and the pixels that `hot` accepts.
template <class Hot>
double overlap(const std::vector<float>& values, const Image& mask, const Hot& hot) {
  int64_t both = 0, either = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const bool lesion = mask.pixels[i] != 0, h = hot(static_cast<double>(values[i]));
    both += lesion && h;
    either += lesion || h;
  }
  return either ? static_cast<double>(both) / static_cast<double>(either) : 0;
}

// Of the region and the lesion together.
double share_of_region(const Image& part, const Image& mask, const Image& region) {
  int64_t hits = 0, all = 0;
  for (size_t i = 0; i < mask.pixels.size(); ++i) {
    if (!mask.pixels[i] && !region.pixels[i]) continue;
    ++all;
    hits += part.pixels[i] != 0;
  }
  return static_cast<double>(hits) / static_cast<double>(all);
}

}  // namespace

MapScore score_map(const HeatMap& map, const Image& mask, const Image& near) {
  if (!map.has_evidence()) return {};
  const Pixel peak = peak_of(map, mask.height, mask.width);
  const std::vector<float> values = resize(map, mask.height, mask.width).values;
  const double half = static_cast<double>(*std::max_element(values.begin(), values.end())) / 2, otsu = otsu_threshold(values);
  return {.pointing = near.at(peak.row, peak.column) ? 1.0 : 0.0,
          .energy = share_inside(values, mask),
          .iou_half = overlap(values, mask, [&](double v) { return v >= half; }),
          .iou_otsu = overlap(values, mask, [&](double v) { return v > otsu; })};
}

const char* guess_name(Guess g) {
  constexpr const char* names[] = {"network", "random weights", "brain's centre", "random point", "brightest point"};
  return names[static_cast<size_t>(g)];
}

const char* guess_key(Guess g) {
  constexpr const char* keys[] = {"network", "random_weights", "brain_centre", "random_point", "brightest"};
  return keys[static_cast<size_t>(g)];
}

PictureScore score_picture(const ScoredSlice& slice, const HeatMap& map, const std::vector<HeatMap>& random_maps) {
  const Image &gray = slice.gray, &mask = slice.mask, &region = slice.region;
  DURA_CHECK(mask.height == gray.height && mask.width == gray.width && region.height == gray.height && region.width == gray.width,
             "heat map score: the picture is ", gray.height, "x", gray.width, ", its mask ", mask.height, "x", mask.width, ", its region ",
             region.height, "x", region.width);
  DURA_CHECK(std::any_of(mask.pixels.begin(), mask.pixels.end(), [](uint8_t v) { return v != 0; }), "heat map score: the mask is empty");
  const Image near = grow(mask, slice.tolerance, slice.pitch);
  PictureScore score;
  score.evidence = map.has_evidence();
  score[Guess::network] = score_map(map, mask, near);
  if (random_maps.empty()) {
    constexpr double unknown = std::numeric_limits<double>::quiet_NaN();
    score[Guess::random_weights] = {unknown, unknown, unknown, unknown};
    score.random_maps_with_evidence = unknown;
  } else {
    const auto n = static_cast<double>(random_maps.size());
    MapScore sum;
    for (const HeatMap& r : random_maps) {
      sum += score_map(r, mask, near);
      score.random_maps_with_evidence += r.has_evidence() / n;
    }
    score[Guess::random_weights] = sum / n;
  }
  score[Guess::brain_centre] = score_map(centre_guess(region), mask, near);
  score[Guess::brightest] = score_map(brightness_guess(gray, region), mask, near);
  const double lesion = share_of_region(mask, mask, region);
  score[Guess::random_point] = {share_of_region(near, mask, region), lesion, lesion, lesion};
  return score;
}

}  // namespace dura
