// Colours of heat maps: "jet", from dark blue (low) through cyan, green and yellow to dark red (high). Red is high everywhere in dura;
// swapped channels are the usual reason for heat maps that look inverted, so a test pins the ends.
#pragma once
#include <cstdint>

#include "data/image/image.h"

namespace dura {

struct Color {
  uint8_t red = 0, green = 0, blue = 0;
  bool operator==(const Color&) const = default;
};

Color jet(double t);  // formula::jet

// Into an RGB picture.
inline void put(Image& image, int64_t row, int64_t column, Color c) {
  uint8_t* pixel = image.row(row) + 3 * column;
  pixel[0] = c.red, pixel[1] = c.green, pixel[2] = c.blue;
}

// The scale for a picture of this height: high at the top, with the words HIGH and LOW. RGB on white.
Image color_bar(int64_t height);

}  // namespace dura
