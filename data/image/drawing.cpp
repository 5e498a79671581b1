#include "data/image/drawing.h"

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "data/image/pixel_text.h"
#include "engine/base/numbers.h"

namespace dura {

namespace {

void paste(const Image& from, Image& into, int64_t top, int64_t left) {
  for (int64_t y = 0; y < from.height; ++y) std::copy_n(from.row(y), from.width * 3, into.row(top + y) + left * 3);
}

}  // namespace

void draw_outline(Image& image, const Image& mask, Color color) {
  DURA_CHECK(image.channels == 3 && mask.channels == 1, "an outline is drawn into an RGB picture from a mask of one channel");
  DURA_CHECK(image.height == mask.height && image.width == mask.width, "the picture has ", image.height, "x", image.width,
             " pixels and its mask ", mask.height, "x", mask.width, "; resize the mask first");
  for (int64_t y = 0; y < mask.height; ++y)
    for (int64_t x = 0; x < mask.width; ++x)
      if (on_border(mask, y, x)) put(image, y, x, color);
}

void draw_cross(Image& image, const Pixel& at) {
  DURA_CHECK(image.channels == 3, "a cross is drawn into an RGB picture; this one has ", image.channels, " channel");
  constexpr int64_t arm = 5;
  const auto bar = [&](int64_t margin, Color color) {
    for (int64_t y = -arm - margin; y <= arm + margin; ++y)
      for (int64_t x = -arm - margin; x <= arm + margin; ++x) {
        const int64_t row = at.row + y, column = at.column + x;
        if (std::min(std::abs(y), std::abs(x)) <= margin && image.contains(row, column)) put(image, row, column, color);
      }
  };
  bar(1, {0, 0, 0});
  bar(0, {255, 255, 255});
}

Image beside(const std::vector<Image>& images, int64_t gap) {
  DURA_CHECK(!images.empty(), "no pictures to put beside each other");
  int64_t height = 0, width = -gap;
  for (const Image& i : images) height = std::max(height, i.height), width += i.width + gap;
  Image out(height, width, 3, 255);
  int64_t left = 0;
  for (const Image& i : images) {
    paste(to_rgb(i), out, 0, left);
    left += i.width + gap;
  }
  return out;
}

namespace {

constexpr int64_t caption_margin = 3;

Image below_lines(const Image& image, const std::vector<std::string>& lines) {
  constexpr int64_t line_height = pixel_text_height + caption_margin;
  const int64_t top = static_cast<int64_t>(lines.size()) * line_height + caption_margin;
  Image out(image.height + top, image.width, 3, 255);
  for (size_t i = 0; i < lines.size(); ++i)
    draw_text(out, caption_margin + static_cast<int64_t>(i) * line_height, caption_margin, lines[i], {});
  paste(to_rgb(image), out, top, 0);
  return out;
}

}  // namespace

Image with_caption(const Image& image, const std::string& text) { return below_lines(image, {text}); }

Image with_whole_caption(const Image& image, const std::string& text) {
  std::vector<std::string> lines = {""};
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    const std::string longer = lines.back().empty() ? word : lines.back() + " " + word;
    if (lines.back().empty() || pixel_text_width(longer) <= image.width - 2 * caption_margin)
      lines.back() = longer;
    else
      lines.push_back(word);
  }
  return below_lines(image, lines);
}

Image sheet(const std::vector<Image>& images, int64_t columns, int64_t gap) {
  DURA_CHECK(!images.empty() && columns > 0, "no pictures for a sheet");
  int64_t height = 0, width = 0;
  for (const Image& i : images) height = std::max(height, i.height), width = std::max(width, i.width);
  const int64_t count = static_cast<int64_t>(images.size()), across = std::min(columns, count), rows = ceil_div(count, columns);
  Image out(rows * (height + gap) + gap, across * (width + gap) + gap, 3, 255);
  for (int64_t i = 0; i < count; ++i)
    paste(to_rgb(images[static_cast<size_t>(i)]), out, gap + i / columns * (height + gap), gap + i % columns * (width + gap));
  return out;
}

}  // namespace dura
