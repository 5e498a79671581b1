#include "models/explain/overlay.h"

#include <algorithm>
#include <iomanip>

#include "data/image/drawing.h"
#include "data/image/resize.h"

namespace dura {

Image overlay(const Image& image, const HeatMap& map, double opacity) {
  Image out = to_rgb(image);
  if (!map.has_evidence()) return out;
  const std::vector<float> values = resize(normalise(map), image.height, image.width).values;
  const auto mixed = [&](uint8_t over, uint8_t& under) { under = static_cast<uint8_t>(opacity * over + (1 - opacity) * under + 0.5); };
  for (size_t i = 0; i < values.size(); ++i) {
    const Color color = jet(values[i]);
    mixed(color.red, out.pixels[3 * i]), mixed(color.green, out.pixels[3 * i + 1]), mixed(color.blue, out.pixels[3 * i + 2]);
  }
  return out;
}

namespace {

bool mask_fits(const HeatMapPicture& p) { return p.mask.height == p.original.height && p.mask.width == p.original.width; }

}  // namespace

HeatMapPicture heat_map_picture(const std::string& file, const Image& original, const Explanation& e,
                                const std::vector<std::string>& classes) {
  return {.file = file,
          .label = {},
          .predicted = classes[static_cast<size_t>(e.predicted)],
          .explained = classes[static_cast<size_t>(e.explained)],
          .probability = e.probability,
          .original = original,
          .mask = {},
          .map = e.map};
}

std::string HeatMapPicture::caption() const {
  std::string text = concat(predicted, " ", std::fixed, std::setprecision(2), probability);
  if (!label.empty()) text += right() ? ", right" : ", wrong: is " + label;
  if (explained != predicted) text += ", map for " + explained;
  if (!map.has_evidence()) text += ", no positive evidence";
  if (!mask.empty() && !mask_fits(*this)) text += ", mask has another extent";
  return text;
}

Image draw(const HeatMapPicture& p, int64_t height) {
  Image slice = to_rgb(p.original), mask = mask_fits(p) ? p.mask : Image();
  if (height > 0 && height != slice.height) {
    const int64_t width = std::max<int64_t>(1, (slice.width * height + slice.height / 2) / slice.height);
    slice = resize_bilinear(slice, height, width);
    if (!mask.empty()) mask = resize_nearest(mask, height, width);
  }
  Image hot = overlay(slice, p.map);
  std::string caption = p.caption();
  if (!mask.empty()) {
    draw_outline(hot, mask, {255, 255, 255});
    caption += ", line: lesion";
  }
  if (p.map.has_evidence()) {
    draw_cross(hot, peak_of(p.map, hot.height, hot.width));
    caption += ", cross: highest";
  }
  return with_whole_caption(beside({slice, hot, color_bar(slice.height)}), caption);
}

}  // namespace dura
