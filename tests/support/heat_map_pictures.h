// Small masks and maps for tests of heat maps.
#pragma once
#include <algorithm>

#include "models/explain/heat_map.h"
#include "data/image/image.h"

namespace dura::test {

// One channel, side x side, black but for a rectangle.
inline Image rectangle(int64_t side, int64_t row, int64_t column, int64_t height, int64_t width, uint8_t value = 255) {
  Image image(side, side, 1);
  for (int64_t r = row; r < row + height; ++r) std::fill_n(image.row(r) + column, width, value);
  return image;
}

// A map of side x side with one cell that is not zero.
inline HeatMap point_map(int64_t side, int64_t row, int64_t column, float value = 1) {
  HeatMap map{side, side, std::vector<float>(static_cast<size_t>(side * side))};
  map.values[static_cast<size_t>(row * side + column)] = value;
  return map;
}

}  // namespace dura::test
