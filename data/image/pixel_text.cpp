#include "data/image/pixel_text.h"

#include <algorithm>
#include <array>

#include "engine/base/check.h"

namespace dura {

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

}  // namespace dura
