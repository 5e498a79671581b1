// A heat map over the slice it explains: upscaled, coloured, blended.
// Invariant: a map without any positive value never shows colour: it has no evidence to point at.
#pragma once
#include <string>

#include "data/image/image.h"
#include "models/explain/explanation.h"
#include "models/explain/heat_map.h"

namespace dura {

// The image in RGB with the map on it, normalised first and then resized to the image: opacity*colour + (1-opacity)*image. Without
// evidence: the image in RGB as it is.
Image overlay(const Image& image, const HeatMap& map, double opacity = 0.5);

// One explained slice as it is shown: beside it the same slice under its map, and a caption.
struct HeatMapPicture {
  std::string file, label, predicted, explained;  // class names; label is empty where it is not known
  double probability = 0;                         // of the predicted class
  Image original, mask;                           // as they are stored; mask is empty where there is none
  HeatMap map;

  bool right() const { return label == predicted; }
  std::string caption() const;  // "Glioma 0.93, wrong: is Menin, no positive evidence"
};
// Without label and mask.
HeatMapPicture heat_map_picture(const std::string& file, const Image& original, const Explanation& explanation,
                                const std::vector<std::string>& classes);

// The slice, and the slice under its map with a cross at its highest point and the lesion's outline in white, and the scale of colours,
// below the caption. A mask of another size than its picture is not drawn, and the caption says so. `height`: the slice is brought to it,
// keeping its aspect; 0: as it is.
Image draw(const HeatMapPicture& picture, int64_t height = 0);

}  // namespace dura
