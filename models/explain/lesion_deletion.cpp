#include "models/explain/lesion_deletion.h"

#include <algorithm>
#include <cmath>

#include "engine/base/random.h"
#include "models/explain/deletion_curve.h"
#include "models/explain/heat_map_score.h"

namespace dura {
namespace {

void check_sizes(const Image& image, const Image& mask) {
  DURA_CHECK(mask.channels == 1 && mask.height == image.height && mask.width == image.width, "lesion deletion: a mask of ", mask.height,
             "x", mask.width, "x", mask.channels, " for a picture of ", image.height, "x", image.width);
}

// One channel of the image, filled in.
void relax(const Image& image, const Image& mask, int64_t channel, Image& out) {
  const Box box = box_of(mask);
  std::vector<double> v(mask.pixels.size());
  double sum = 0;
  int64_t known = 0;
  for (size_t i = 0; i < v.size(); ++i) {
    v[i] = image.pixels[i * static_cast<size_t>(image.channels) + static_cast<size_t>(channel)];
    if (!mask.pixels[i]) sum += v[i], ++known;
  }
  if (known == 0) return;
  for (size_t i = 0; i < v.size(); ++i)
    if (mask.pixels[i]) v[i] = sum / static_cast<double>(known);
  double largest = 1;
  for (int sweep = 0; sweep < 4000 && largest > 0.05; ++sweep) {
    largest = 0;
    for (int64_t r = box.top; r <= box.bottom; ++r)
      for (int64_t c = box.left; c <= box.right; ++c) {
        if (!mask.at(r, c)) continue;
        const Pixel neighbours[] = {{r - 1, c}, {r + 1, c}, {r, c - 1}, {r, c + 1}};
        double around = 0;
        int64_t count = 0;
        for (const auto& [y, x] : neighbours)
          if (mask.contains(y, x)) around += v[static_cast<size_t>(y * mask.width + x)], ++count;
        double& here = v[static_cast<size_t>(r * mask.width + c)];
        const double step = 1.7 * (around / static_cast<double>(count) - here);  // over-relaxed
        here += step;
        largest = std::max(largest, std::abs(step));
      }
  }
  for (size_t i = 0; i < v.size(); ++i)
    if (mask.pixels[i])
      out.pixels[i * static_cast<size_t>(image.channels) + static_cast<size_t>(channel)] =
          static_cast<uint8_t>(std::clamp(std::lround(v[i]), 0L, 255L));
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double v : values) sum += v;
  return values.empty() ? NAN : sum / static_cast<double>(values.size());
}

}  // namespace

Image filled_in(const Image& image, const Image& mask) {
  check_sizes(image, mask);
  Image out = image;
  for (int64_t channel = 0; channel < image.channels; ++channel) relax(image, mask, channel, out);
  return out;
}

Image mirrored_in(const Image& image, const Image& mask, const Image& region) {
  check_sizes(image, mask);
  const Box box = box_of(region);
  const int64_t both = box.right < 0 ? image.width - 1 : box.left + box.right;
  Image out = image;
  for (int64_t r = 0; r < mask.height; ++r)
    for (int64_t c = 0; c < mask.width; ++c) {
      if (!mask.at(r, c)) continue;
      const int64_t other = std::clamp<int64_t>(both - c, 0, image.width - 1);
      for (int64_t k = 0; k < image.channels; ++k) out.at(r, c, k) = image.at(r, other, k);
    }
  return out;
}

std::vector<Image> moved_elsewhere(const Image& mask, const Image& region, int64_t count, int64_t gap, uint64_t key) {
  check_sizes(mask, region);
  const Box box = box_of(mask);
  std::vector<Image> found;
  if (box.bottom < 0) return found;
  const Image near = grow(mask, {.amount = static_cast<double>(gap)});
  Random random(random_key(key, "elsewhere"));
  const int64_t rows = box.bottom - box.top + 1, columns = box.right - box.left + 1;
  for (int64_t draw = 0; draw < 300 * count && std::ssize(found) < count; ++draw) {
    const auto top = static_cast<int64_t>(random.below(static_cast<uint64_t>(mask.height - rows + 1))),
               left = static_cast<int64_t>(random.below(static_cast<uint64_t>(mask.width - columns + 1)));
    Image moved(mask.height, mask.width, 1);
    int64_t all = 0, in_region = 0;
    bool free = true;
    for (int64_t r = 0; r < rows && free; ++r)
      for (int64_t c = 0; c < columns && free; ++c) {
        if (!mask.at(box.top + r, box.left + c)) continue;
        moved.at(top + r, left + c) = 255;
        ++all;
        in_region += region.at(top + r, left + c) != 0;
        free = !near.at(top + r, left + c);
      }
    if (free && 10 * in_region >= 9 * all) found.push_back(std::move(moved));
  }
  return found;
}

LesionDeletion lesion_deletion(Classifier& model, const Image& slice, const Image& mask, const Image& region, uint64_t key,
                               const LesionDeletionOptions& o) {
  const int64_t gap = std::max<int64_t>(1, std::min(slice.height, slice.width) / 28);
  const std::vector<Image> places = moved_elsewhere(mask, region, o.places, gap, random_key(o.seed ^ key, "lesion deletion"));
  const Image rim = grow(mask, {.amount = static_cast<double>(2 * gap)});
  Image kept = blurred(slice, 16);
  for (size_t i = 0; i < slice.pixels.size(); ++i)
    if (rim.pixels[i / static_cast<size_t>(slice.channels)]) kept.pixels[i] = slice.pixels[i];
  std::vector<Image> pictures = {slice, filled_in(slice, mask), mirrored_in(slice, mask, region), std::move(kept)};
  for (const Image& place : places) {
    pictures.push_back(filled_in(slice, place));
    pictures.push_back(mirrored_in(slice, place, region));
  }
  LesionDeletion d;
  const std::vector<std::vector<double>> p = class_probabilities(model, pictures, o.batch);
  d.answer = static_cast<int32_t>(std::max_element(p[0].begin(), p[0].end()) - p[0].begin());
  const auto answer = static_cast<size_t>(d.answer);
  d.probability = p[0][answer];
  const auto fall = [&](size_t picture) { return d.probability - p[picture][answer]; };
  std::vector<double> filled, mirrored;
  for (size_t i = 0; i < places.size(); ++i) filled.push_back(fall(4 + 2 * i)), mirrored.push_back(fall(5 + 2 * i));
  d.filled = fall(1), d.filled_elsewhere = mean(filled);
  d.mirrored = fall(2), d.mirrored_elsewhere = mean(mirrored);
  d.kept = p[3][answer];
  return d;
}

HeatMap occlusion_map(Classifier& model, const Image& slice, int32_t answer, int64_t batch) {
  constexpr int64_t cells = 13;
  double sum = 0;
  for (const uint8_t v : slice.pixels) sum += v;
  const auto grey = static_cast<uint8_t>(std::lround(sum / static_cast<double>(slice.pixels.size())));
  const auto first = [](int64_t i, int64_t side) { return i * side / (cells + 1); };
  std::vector<Image> pictures = {slice};
  for (int64_t i = 0; i < cells; ++i)
    for (int64_t j = 0; j < cells; ++j) {
      Image hidden = slice;
      for (int64_t r = first(i, slice.height); r < first(i + 2, slice.height); ++r)
        std::fill_n(hidden.row(r) + first(j, slice.width) * slice.channels,
                    (first(j + 2, slice.width) - first(j, slice.width)) * slice.channels, grey);
      pictures.push_back(std::move(hidden));
    }
  const std::vector<std::vector<double>> p = class_probabilities(model, pictures, batch);
  const auto c = static_cast<size_t>(answer);
  constexpr CellMiddles middles{.first = 1.0 / (cells + 1), .step = 1.0 / (cells + 1)};
  HeatMap map{.height = cells, .width = cells, .values = {}, .rows = middles, .columns = middles};
  for (size_t k = 1; k < p.size(); ++k) map.values.push_back(static_cast<float>(std::max(0.0, p[0][c] - p[k][c])));
  return map;
}

}  // namespace dura
