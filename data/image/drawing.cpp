#include "data/image/drawing.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <sstream>

#include "engine/base/check.h"
#include "engine/base/numbers.h"

namespace dura {

Color jet(double t) {
  const double inside = t > 0 ? std::min(t, 1.0) : 0.0;
  const auto level = [&](int peak) { return static_cast<uint8_t>(255 * std::clamp(1.5 - std::abs(4 * inside - peak), 0.0, 1.0) + 0.5); };
  return {level(3), level(2), level(1)};
}

Image color_bar(int64_t height) {
  constexpr int64_t margin = 4, bar = 12;
  Image out(height, pixel_text_width("HIGH") + 2 * margin, 3, 255);
  const int64_t top = margin + pixel_text_height + margin, bottom = height - top;
  if (bottom <= top) return out;  // too low for a scale: an empty strip
  const int64_t left = (out.width - bar) / 2;
  for (int64_t y = top; y < bottom; ++y) {
    const Color c = jet(1 - static_cast<double>(y - top) / static_cast<double>(std::max<int64_t>(bottom - top - 1, 1)));
    for (int64_t x = left; x < left + bar; ++x) put(out, y, x, c);
  }
  draw_text(out, margin, margin, "HIGH", {});
  draw_text(out, height - margin - pixel_text_height, (out.width - pixel_text_width("LOW")) / 2, "LOW", {});
  return out;
}

namespace {

constexpr int64_t glyph_width = 5, advance = 6;

// Seven rows from the top; of each the five low bits, the highest one leftmost.
struct Glyph {
  char character;
  std::array<uint8_t, 7> rows;
};

constexpr Glyph glyphs[] = {
    {' ', {0, 0, 0, 0, 0, 0, 0}},        {'0', {14, 17, 19, 21, 25, 17, 14}}, {'1', {4, 12, 4, 4, 4, 4, 14}},
    {'2', {14, 17, 1, 2, 4, 8, 31}},     {'3', {31, 2, 4, 2, 1, 17, 14}},     {'4', {2, 6, 10, 18, 31, 2, 2}},
    {'5', {31, 16, 30, 1, 1, 17, 14}},   {'6', {6, 8, 16, 30, 17, 17, 14}},   {'7', {31, 1, 2, 4, 8, 8, 8}},
    {'8', {14, 17, 17, 14, 17, 17, 14}}, {'9', {14, 17, 17, 15, 1, 2, 12}},   {'A', {14, 17, 17, 31, 17, 17, 17}},
    {'B', {30, 17, 17, 30, 17, 17, 30}}, {'C', {14, 17, 16, 16, 16, 17, 14}}, {'D', {30, 17, 17, 17, 17, 17, 30}},
    {'E', {31, 16, 16, 30, 16, 16, 31}}, {'F', {31, 16, 16, 30, 16, 16, 16}}, {'G', {14, 17, 16, 23, 17, 17, 15}},
    {'H', {17, 17, 17, 31, 17, 17, 17}}, {'I', {14, 4, 4, 4, 4, 4, 14}},      {'J', {7, 2, 2, 2, 2, 18, 12}},
    {'K', {17, 18, 20, 24, 20, 18, 17}}, {'L', {16, 16, 16, 16, 16, 16, 31}}, {'M', {17, 27, 21, 21, 17, 17, 17}},
    {'N', {17, 25, 21, 19, 17, 17, 17}}, {'O', {14, 17, 17, 17, 17, 17, 14}}, {'P', {30, 17, 17, 30, 16, 16, 16}},
    {'Q', {14, 17, 17, 17, 21, 18, 13}}, {'R', {30, 17, 17, 30, 20, 18, 17}}, {'S', {15, 16, 16, 14, 1, 1, 30}},
    {'T', {31, 4, 4, 4, 4, 4, 4}},       {'U', {17, 17, 17, 17, 17, 17, 14}}, {'V', {17, 17, 17, 17, 17, 10, 4}},
    {'W', {17, 17, 17, 21, 21, 27, 17}}, {'X', {17, 17, 10, 4, 10, 17, 17}},  {'Y', {17, 17, 10, 4, 4, 4, 4}},
    {'Z', {31, 1, 2, 4, 8, 16, 31}},     {'.', {0, 0, 0, 0, 0, 12, 12}},      {',', {0, 0, 0, 0, 12, 4, 8}},
    {':', {0, 12, 12, 0, 12, 12, 0}},    {'-', {0, 0, 0, 31, 0, 0, 0}},       {'_', {0, 0, 0, 0, 0, 0, 31}},
    {'/', {1, 1, 2, 4, 8, 16, 16}},      {'%', {25, 25, 2, 4, 8, 19, 19}},    {'(', {2, 4, 8, 8, 8, 4, 2}},
    {')', {8, 4, 2, 2, 2, 4, 8}},        {'=', {0, 0, 31, 0, 31, 0, 0}},      {'>', {8, 4, 2, 1, 2, 4, 8}},
    {'<', {2, 4, 8, 16, 8, 4, 2}},       {'+', {0, 4, 4, 31, 4, 4, 0}},       {'!', {4, 4, 4, 4, 4, 0, 4}},
    {'?', {14, 17, 1, 2, 4, 0, 4}},
};
constexpr std::array<uint8_t, 7> box = {31, 17, 17, 17, 17, 17, 31};

const std::array<uint8_t, 7>& rows_of(char c) {
  if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  const auto* found = std::find_if(std::begin(glyphs), std::end(glyphs), [c](const Glyph& g) { return g.character == c; });
  return found == std::end(glyphs) ? box : found->rows;
}

void paste(const Image& from, Image& into, int64_t top, int64_t left) {
  for (int64_t y = 0; y < from.height; ++y) std::copy_n(from.row(y), from.width * 3, into.row(top + y) + left * 3);
}

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

int64_t pixel_text_width(std::string_view text) {
  return text.empty() ? 0 : advance * static_cast<int64_t>(text.size()) - (advance - glyph_width);
}

void draw_text(Image& image, int64_t top, int64_t left, std::string_view text, Color color) {
  DURA_CHECK(image.channels == 3, "text is drawn into RGB pictures; this one has ", image.channels, " channel");
  for (const char c : text) {
    const std::array<uint8_t, 7>& rows = rows_of(c);
    for (int64_t r = 0; r < pixel_text_height; ++r)
      for (int64_t k = 0; k < glyph_width; ++k) {
        const int64_t y = top + r, x = left + k;
        const bool ink = rows[static_cast<size_t>(r)] >> (glyph_width - 1 - k) & 1;
        if (ink && image.contains(y, x)) put(image, y, x, color);
      }
    left += advance;
  }
}

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
