// What is drawn into pictures, and pictures put together: colours, words, outlines, captions, rows and sheets.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/image/image.h"

namespace dura {

// Colours of heat maps: "jet", from dark blue (low) through cyan, green and yellow to dark red (high). Red is high everywhere in dura;
// swapped channels are the usual reason for heat maps that look inverted, so a test pins the ends.
struct Color {
  uint8_t red = 0, green = 0, blue = 0;
  bool operator==(const Color&) const = default;
};

// Red, green and blue are 1.5 - |4t - k| with k = 3, 2, 1, cut off at 0 and 1. t outside of [0,1] is cut off too, NaN is 0.
Color jet(double t);

// Into an RGB picture.
inline void put(Image& image, int64_t row, int64_t column, Color c) {
  uint8_t* pixel = image.row(row) + 3 * column;
  pixel[0] = c.red, pixel[1] = c.green, pixel[2] = c.blue;
}

// The scale for a picture of this height: high at the top, with the words HIGH and LOW. RGB on white.
Image color_bar(int64_t height);

// Words in pictures: capital letters, digits and a few signs, five by seven pixels each, so that a sheet of heat maps explains itself
// wherever it is shown.
constexpr int64_t pixel_text_height = 7;
int64_t pixel_text_width(std::string_view text);  // 6 a character, less the last gap

// Small letters become capitals, characters without a form a box; what does not fit into the picture is cut. The picture must be RGB.
void draw_text(Image& image, int64_t top, int64_t left, std::string_view text, Color color);

// Colours the border of the mask's object (on_border). Image RGB, mask of the same size.
void draw_outline(Image& image, const Image& mask, Color color);

// A white cross with a black edge around the pixel: where a map is highest, also for eyes that cannot tell its colours apart.
void draw_cross(Image& image, const Pixel& at);

// Pictures beside each other, aligned at the top, `gap` pixels apart, on white; gray ones become RGB.
Image beside(const std::vector<Image>& images, int64_t gap = 4);
// The picture below a line of text on white; what is wider than the picture is cut off.
Image with_caption(const Image& image, const std::string& text);
// Below as many lines as the text needs, broken at spaces.
Image with_whole_caption(const Image& image, const std::string& text);
// Pictures in rows of `columns`, all given the size of the largest, on white.
Image sheet(const std::vector<Image>& images, int64_t columns, int64_t gap = 6);

}  // namespace dura
