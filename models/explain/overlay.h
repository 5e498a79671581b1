// A heat map over the slice it explains: upscaled, coloured, blended.
// Invariant: a map without any positive value never shows colour: it has no evidence to point at.
#pragma once
#include "data/image/image.h"
#include "models/explain/heat_map.h"

namespace dura {

// The image in RGB with the map on it, normalised first and then resized to the image: opacity*colour + (1-opacity)*image. Without
// evidence: the image in RGB as it is. The map's values are on the host, so the colours are computed there, too.
Image overlay(const Image& image, const HeatMap& map, double opacity = 0.5);

}  // namespace dura
