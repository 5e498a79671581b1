// A heat map on the host: raw values of one picture, rows from the top, as coarse as the stage of the network that it was made at.
#pragma once
#include <cstdint>
#include <vector>

namespace dura {

struct HeatMap {
  int64_t height = 0, width = 0;
  std::vector<float> values;

  bool has_evidence() const;  // some value is greater than 0
};

// Bilinear, the centres of the corner pixels' areas aligned and edges repeated: equal to OpenCV's resize with INTER_LINEAR.
HeatMap resize(const HeatMap& map, int64_t height, int64_t width);
// (v - min) / (1e-7 + max - min), as pytorch-grad-cam scales its maps for showing. Throws Error for values that are not finite.
HeatMap normalise(const HeatMap& map);

// Otsu's threshold (1979) on 256 levels from the smallest to the largest value: what is greater belongs to the upper class. The largest
// value itself where all are equal: then nothing is greater.
double otsu_threshold(const std::vector<float>& values);

struct Pixel {
  int64_t row = 0, column = 0;
};
// The pixel of a height x width picture under the centre of the map's largest value; the first of equals.
Pixel peak_of(const HeatMap& map, int64_t height, int64_t width);

}  // namespace dura
