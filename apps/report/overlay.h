// A heat map over the slice it explains: upscaled, coloured, blended; the lesion's outline where a mask is known.
// Invariant: a map without any positive value never shows colour: it has no evidence to point at.
#pragma once
#include <vector>

#include "apps/report/color_map.h"
#include "data/image.h"

namespace dura {

// One Grad-CAM map: raw values, rows from the top.
struct HeatMap {
  int64_t height = 0, width = 0;
  std::vector<float> values;

  bool has_evidence() const;  // some value is greater than 0
};

// Bilinear, the centres of the corner pixels' areas aligned and edges repeated: equal to OpenCV's resize with INTER_LINEAR.
HeatMap resize(const HeatMap& map, int64_t height, int64_t width);
// (v - min) / (1e-7 + max - min), as pytorch-grad-cam scales its maps for showing. Throws Error for values that are not finite.
HeatMap normalise(const HeatMap& map);

struct OverlayOptions {
  double opacity = 0.5;  // of the colours: out = opacity*colour + (1-opacity)*image
};
// The image in RGB with the map on it, normalised first and then resized to the image. Without evidence: the image in RGB as it is.
Image overlay(const Image& image, const HeatMap& map, const OverlayOptions& options = {});
// The map alone in colours, in the given extent; without evidence all in the colour of 0.
Image colored(const HeatMap& map, int64_t height, int64_t width);

// Colours the pixels of the object that touch the outside (4 neighbours); the picture's border counts as outside. Image RGB, mask of the
// same extent with zero outside of the object.
void draw_outline(Image& image, const Image& mask, Color color);

// Pictures beside each other, aligned at the top, `gap` pixels apart, on white; gray ones become RGB.
Image beside(const std::vector<Image>& images, int64_t gap = 4);
// The picture below a white line of text.
Image with_caption(const Image& image, const std::string& text);
// Pictures in rows of `columns`, all given the extent of the largest, on white.
Image sheet(const std::vector<Image>& images, int64_t columns, int64_t gap = 6);

}  // namespace dura
