// A heat map on the host: raw values of one picture, rows from the top, as coarse as the stage of the network that it was made at.
#pragma once
#include <cstdint>
#include <vector>

#include "data/image/image.h"

namespace dura {

// Where the middles of a map's cells lie along one side of the picture: that of cell i at first + i * step, in shares of the side. By
// default (step 0) each cell has an equal share of the side and lies in its middle.
struct CellMiddles {
  double first = 0, step = 0;
  bool operator==(const CellMiddles&) const = default;
};

// What lies between the middles: a straight line, as other tools draw it, whose peak is the middle of a cell; or Keys' cubic (1981,
// "Cubic convolution interpolation for digital image processing", a = -1/2), which also finds a peak between two cells that are both high.
enum class Enlarging : uint8_t { linear, cubic };

struct HeatMap {
  int64_t height = 0, width = 0;
  std::vector<float> values;
  CellMiddles rows = {}, columns = {};
  Enlarging enlarging = Enlarging::linear;

  bool has_evidence() const;  // some value is greater than 0
};

// Where the map's cells lie in a picture of this size.
MapPlacement placement(const HeatMap& map, int64_t height, int64_t width);
// Edges are repeated: with equal shares and straight lines equal to OpenCV's resize with INTER_LINEAR. A cubic is cut off below the map's
// smallest value, not above its largest one.
HeatMap resize(const HeatMap& map, int64_t height, int64_t width);
// (v - min) / (1e-7 + max - min), as pytorch-grad-cam scales its maps for showing. Throws Error for values that are not finite.
HeatMap normalise(const HeatMap& map);

// Otsu's threshold (1979) on 256 levels from the smallest to the largest value: what is greater belongs to the upper class. The largest
// value itself where all are equal: then nothing is greater.
double otsu_threshold(const std::vector<float>& values);

// The pixel of a height x width picture under the map's peak: the middle of its largest cell, or the largest pixel of the cubic. The first
// of equals.
Pixel peak_of(const HeatMap& map, int64_t height, int64_t width);

}  // namespace dura
