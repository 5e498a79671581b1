// A heat map over the slice it explains: upscaled, coloured, blended; the lesion's outline where a mask is known.
// Invariant: a map without any positive value never shows colour: it has no evidence to point at.
#pragma once
#include <string>
#include <vector>

#include "apps/report/color_map.h"
#include "apps/report/heat_map.h"
#include "data/image.h"

namespace dura {

struct OverlayOptions {
  double opacity = 0.5;         // of the colours: out = opacity*colour + (1-opacity)*image
  Device device = Device::cpu;  // where it is computed; the bytes are the same everywhere
};
// The image in RGB with the map on it, normalised first and then resized to the image. Without evidence: the image in RGB as it is.
Image overlay(const Image& image, const HeatMap& map, const OverlayOptions& options = {});

// Colours the pixels of the object that touch the outside (4 neighbours); the picture's border counts as outside. Image RGB, mask of the
// same extent with zero outside of the object.
void draw_outline(Image& image, const Image& mask, Color color);

// A white cross with a black edge around the pixel: where a map is highest, also for eyes that cannot tell its colours apart.
void draw_cross(Image& image, const Pixel& at);

// Pictures beside each other, aligned at the top, `gap` pixels apart, on white; gray ones become RGB.
Image beside(const std::vector<Image>& images, int64_t gap = 4);
// The picture below a line of text on white; what is wider than the picture is cut off.
Image with_caption(const Image& image, const std::string& text);
// Below as many lines as the text needs, broken at spaces.
Image with_whole_caption(const Image& image, const std::string& text);
// Pictures in rows of `columns`, all given the extent of the largest, on white.
Image sheet(const std::vector<Image>& images, int64_t columns, int64_t gap = 6);

}  // namespace dura
