// A heat map over the slice it explains: upscaled, coloured, blended.
// Invariant: a map without any positive value never shows colour: it has no evidence to point at.
#pragma once
#include "data/image/image.h"
#include "models/explain/heat_map.h"

namespace dura {

struct OverlayOptions {
  double opacity = 0.5;         // of the colours: out = opacity*colour + (1-opacity)*image
  Device device = Device::cpu;  // where it is computed; the bytes are the same everywhere
};
// The image in RGB with the map on it, normalised first and then resized to the image. Without evidence: the image in RGB as it is.
Image overlay(const Image& image, const HeatMap& map, const OverlayOptions& options = {});

}  // namespace dura
