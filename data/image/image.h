// One decoded picture in host memory: 8 bits per channel, rows from the top, channels interleaved (H,W,C).
// A slice has one channel (gray) or three (red, green, blue); a mask has one, zero outside the object. No file and
// no codec here: see data/image/codec.h.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/base/check.h"

namespace dura {

struct Image {
  int64_t height = 0, width = 0, channels = 0;
  std::vector<uint8_t> pixels;  // height * width * channels

  Image() = default;
  Image(int64_t h, int64_t w, int64_t c, uint8_t value = 0) : height(h), width(w), channels(c) {
    DURA_CHECK(h > 0 && w > 0, "an image must have at least one pixel, ", h, "x", w, " was asked for");
    DURA_CHECK(c == 1 || c == 3, "an image has 1 or 3 channels, ", c, " were asked for");
    pixels.assign(static_cast<size_t>(h * w * c), value);
  }

  bool empty() const { return pixels.empty(); }
  bool contains(int64_t row, int64_t column) const { return row >= 0 && column >= 0 && row < height && column < width; }
  // Unchecked: row in [0,height), column in [0,width), channel in [0,channels).
  uint8_t& at(int64_t row, int64_t column, int64_t channel = 0) { return pixels[index(row, column, channel)]; }
  uint8_t at(int64_t row, int64_t column, int64_t channel = 0) const { return pixels[index(row, column, channel)]; }
  uint8_t* row(int64_t r) { return pixels.data() + index(r, 0, 0); }
  const uint8_t* row(int64_t r) const { return pixels.data() + index(r, 0, 0); }

  bool operator==(const Image& other) const = default;

 private:
  size_t index(int64_t r, int64_t column, int64_t channel) const { return static_cast<size_t>((r * width + column) * channels + channel); }
};

// The same picture with three equal channels where it has one; a picture with three is returned as it is.
inline Image to_rgb(Image image) {
  if (image.channels == 3) return image;
  Image rgb(image.height, image.width, 3);
  for (size_t i = 0; i < image.pixels.size(); ++i) rgb.pixels[3 * i] = rgb.pixels[3 * i + 1] = rgb.pixels[3 * i + 2] = image.pixels[i];
  return rgb;
}

// One channel where the three are equal in every pixel, as in gray slices stored in colour; otherwise the picture as it is.
inline Image one_channel_if_gray(Image image) {
  if (image.channels == 1) return image;
  for (size_t i = 0; i < image.pixels.size(); i += 3)
    if (image.pixels[i] != image.pixels[i + 1] || image.pixels[i] != image.pixels[i + 2]) return image;
  Image gray(image.height, image.width, 1);
  for (size_t i = 0; i < gray.pixels.size(); ++i) gray.pixels[i] = image.pixels[3 * i];
  return gray;
}

// Luma of ITU-R BT.601 in 16-bit fixed point, rounded: (19595 R + 38470 G + 7471 B + 2^15) / 2^16.
inline Image to_gray(Image image) {
  if (image.channels == 1) return image;
  Image gray(image.height, image.width, 1);
  for (size_t i = 0; i < gray.pixels.size(); ++i) {
    const uint8_t* p = &image.pixels[3 * i];
    gray.pixels[i] = static_cast<uint8_t>((19595u * p[0] + 38470u * p[1] + 7471u * p[2] + 0x8000u) >> 16);
  }
  return gray;
}

struct Pixel {
  int64_t row = 0, column = 0;
};

// Rows and columns that hold something of a mask; `bottom` and `right` are the last ones, -1 where it is empty.
struct Box {
  int64_t top, bottom, left, right;
};
inline Box box_of(const Image& mask) {
  Box b{mask.height, -1, mask.width, -1};
  for (int64_t r = 0; r < mask.height; ++r)
    for (int64_t c = 0; c < mask.width; ++c)
      if (mask.at(r, c)) b = {std::min(b.top, r), std::max(b.bottom, r), std::min(b.left, c), std::max(b.right, c)};
  return b;
}

// Where a coarse map lies in a picture: the middle of pixel (i,j) at row row_step*i + first_row of its cells, counted from the middle of
// the first, and at column column_step*j + first_column.
struct MapPlacement {
  double row_step = 1, first_row = 0, column_step = 1, first_column = 0;
};

// Whether the pixel belongs to the object and one of its 4 neighbours does not; beyond the picture is outside of the object.
inline bool on_border(const Image& mask, int64_t r, int64_t c) {
  const auto inside = [&](int64_t y, int64_t x) { return mask.contains(y, x) && mask.at(y, x) != 0; };
  return inside(r, c) && !(inside(r - 1, c) && inside(r + 1, c) && inside(r, c - 1) && inside(r, c + 1));
}

}  // namespace dura
