#include "models/explain/heat_map_score.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

#include "engine/base/text.h"

namespace dura {

Image head_region(const Image& gray) {
  DURA_CHECK(gray.channels == 1, "head region: a gray picture is expected, got ", gray.channels, " channels");
  std::array<int64_t, 256> histogram{};
  for (uint8_t v : gray.pixels) ++histogram[v];
  int64_t above = 0, p99 = 255;
  while (p99 > 0 && (above += histogram[static_cast<size_t>(p99)]) * 100 < static_cast<int64_t>(gray.pixels.size())) --p99;
  const double threshold = static_cast<double>(p99) / 10;
  const int64_t H = gray.height, W = gray.width;
  struct Extent {
    int64_t first, last;
    bool holds(int64_t i) const { return i >= first && i <= last; }
  };
  std::vector<Extent> rows(static_cast<size_t>(H), {W, -1}), columns(static_cast<size_t>(W), {H, -1});
  for (int64_t r = 0; r < H; ++r)
    for (int64_t c = 0; c < W; ++c) {
      if (gray.at(r, c) <= threshold) continue;
      Extent &row = rows[static_cast<size_t>(r)], &column = columns[static_cast<size_t>(c)];
      row = {std::min(row.first, c), c};
      column = {std::min(column.first, r), r};
    }
  Image region(H, W, 1);
  for (int64_t r = 0; r < H; ++r)
    for (int64_t c = 0; c < W; ++c)
      region.at(r, c) = rows[static_cast<size_t>(r)].holds(c) && columns[static_cast<size_t>(c)].holds(r) ? 255 : 0;
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

HeatMap centre_guess(const Image& region) {
  const Pixel centre = centre_of(region);
  const double deviation = static_cast<double>(std::min(region.height, region.width)) / 8;
  HeatMap map{region.height, region.width, {}};
  for (int64_t r = 0; r < region.height; ++r)
    for (int64_t c = 0; c < region.width; ++c) {
      const double y = static_cast<double>(r - centre.row) / deviation, x = static_cast<double>(c - centre.column) / deviation;
      map.values.push_back(static_cast<float>(std::exp(-(x * x + y * y) / 2)));
    }
  return map;
}

HeatMap brightness_guess(const Image& gray, const Image& region) {
  const int64_t H = gray.height, W = gray.width, half = std::max<int64_t>(1, std::min(H, W) / 24);
  // Sums over rectangles by an integral image.
  std::vector<int64_t> integral(static_cast<size_t>((H + 1) * (W + 1)));
  const auto at = [&](int64_t r, int64_t c) -> int64_t& { return integral[static_cast<size_t>(r * (W + 1) + c)]; };
  for (int64_t r = 0; r < H; ++r)
    for (int64_t c = 0; c < W; ++c) at(r + 1, c + 1) = at(r, c + 1) + at(r + 1, c) - at(r, c) + gray.at(r, c);
  HeatMap map{H, W, std::vector<float>(static_cast<size_t>(H * W))};
  float darkest = 255;
  for (int64_t r = 0; r < H; ++r)
    for (int64_t c = 0; c < W; ++c) {
      if (!region.at(r, c)) continue;
      const int64_t r0 = std::max<int64_t>(0, r - half), r1 = std::min(H, r + half + 1), c0 = std::max<int64_t>(0, c - half),
                    c1 = std::min(W, c + half + 1);
      const double sum = static_cast<double>(at(r1, c1) - at(r0, c1) - at(r1, c0) + at(r0, c0));
      const float mean = static_cast<float>(sum / static_cast<double>((r1 - r0) * (c1 - c0)));
      map.values[static_cast<size_t>(r * W + c)] = mean;
      darkest = std::min(darkest, mean);
    }
  for (size_t i = 0; i < map.values.size(); ++i)
    if (region.pixels[i]) map.values[i] -= darkest;
  return map;
}

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

ScoreGroup group_of(const std::string& name, const std::vector<ScoredPicture>& pictures,
                    const std::function<bool(const ScoredPicture&)>& belongs) {
  ScoreGroup g{.name = name};
  for (const ScoredPicture& p : pictures) {
    if (!belongs(p)) continue;
    ++g.pictures;
    g.without_evidence += !p.score.evidence;
    g.random_maps_with_evidence += p.score.random_maps_with_evidence;
    for (size_t i = 0; i < guesses; ++i) g.means[i] += p.score.scores[i];
  }
  if (g.pictures == 0) return g;
  const auto n = static_cast<double>(g.pictures);
  const int64_t hits = std::lround(g[Guess::network].pointing);
  for (MapScore& m : g.means) m = m / n;
  g.random_maps_with_evidence /= n;
  g.p_value = binomial_tail(g.pictures, hits, g[Guess::random_point].pointing);
  return g;
}

}  // namespace

MapScore score_map(const HeatMap& map, const Image& mask, const Image& near) {
  if (!map.has_evidence()) return {};
  const HeatMap large = resize(map, mask.height, mask.width);
  const std::vector<float>& values = large.values;
  const Pixel peak = peak_of(map.enlarging == Enlarging::cubic ? large : map, mask.height, mask.width);
  const double half = static_cast<double>(*std::max_element(values.begin(), values.end())) / 2, otsu = otsu_threshold(values);
  return {.pointing = near.at(peak.row, peak.column) ? 1.0 : 0.0,
          .energy = share_inside(values, mask),
          .iou_half = overlap(values, mask, [&](double v) { return v >= half; }),
          .iou_otsu = overlap(values, mask, [&](double v) { return v > otsu; })};
}

MapScore best_cell_score(const HeatMap& like, const Image& mask, const Image& near) {
  const double reach_y = like.rows.step > 0 ? like.rows.step * static_cast<double>(mask.height)
                                            : static_cast<double>(mask.height) / static_cast<double>(like.height),
               reach_x = like.columns.step > 0 ? like.columns.step * static_cast<double>(mask.width)
                                               : static_cast<double>(mask.width) / static_cast<double>(like.width);
  const Box box = box_of(near);
  HeatMap one = like;
  MapScore best;
  for (size_t i = 0; i < one.values.size(); ++i) {
    std::fill(one.values.begin(), one.values.end(), 0.0f);
    one.values[i] = 1;
    // Light falls to nothing within the distance of two middles, a cubic's but for a trace. At the edges, which are repeated, it goes on:
    // there the middle is nearer.
    one.enlarging = Enlarging::linear;
    const Pixel middle = peak_of(one, mask.height, mask.width);
    one.enlarging = like.enlarging;
    const auto y = static_cast<double>(middle.row), x = static_cast<double>(middle.column);
    if (y + reach_y < static_cast<double>(box.top) || y - reach_y > static_cast<double>(box.bottom) ||
        x + reach_x < static_cast<double>(box.left) || x - reach_x > static_cast<double>(box.right))
      continue;
    const MapScore s = score_map(one, mask, near);
    best.pointing = std::max(best.pointing, s.pointing);
    best.energy = std::max(best.energy, s.energy);
    best.iou_half = std::max(best.iou_half, s.iou_half);
    best.iou_otsu = std::max(best.iou_otsu, s.iou_otsu);
  }
  return best;
}

const char* guess_name(Guess g) {
  constexpr const char* names[] = {"network", "random weights", "brain's centre", "random point", "brightest point", "best single cell"};
  return names[static_cast<size_t>(g)];
}

const char* guess_key(Guess g) {
  constexpr const char* keys[] = {"network", "random_weights", "brain_centre", "random_point", "brightest", "best_cell"};
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
    score[Guess::random_weights] = {NAN, NAN, NAN, NAN};
    score.random_maps_with_evidence = NAN;
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
  score[Guess::best_cell] = best_cell_score(map, mask, near);
  const double lesion = share_of_region(mask, mask, region);
  score[Guess::random_point] = {share_of_region(near, mask, region), lesion, lesion, lesion};
  return score;
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

std::vector<ScoreGroup> score_groups(const std::vector<ScoredPicture>& pictures, const std::vector<std::string>& classes) {
  std::vector<ScoreGroup> groups;
  const auto add = [&](const std::string& name, const std::function<bool(const ScoredPicture&)>& belongs) {
    if (ScoreGroup g = group_of(name, pictures, belongs); g.pictures > 0) groups.push_back(std::move(g));
  };
  add("all", [](const ScoredPicture&) { return true; });
  for (const std::string& c : classes) add(c, [&](const ScoredPicture& p) { return p.label == c; });
  add("right", [](const ScoredPicture& p) { return p.right(); });
  add("wrong", [](const ScoredPicture& p) { return !p.right(); });
  return groups;
}

}  // namespace dura
