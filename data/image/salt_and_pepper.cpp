#include "data/image/salt_and_pepper.h"

#include <algorithm>
#include <cstdlib>

namespace dura {
namespace {

bool extreme(uint8_t v) { return v == 0 || v == 255; }

// Alone: at most one of the up to 8 neighbours is within 16 levels of it, for two noise pixels may touch; a pixel of a line has two.
constexpr int alike_within = 16, most_alike = 1;

bool is_noise(const Image& image, int64_t row, int64_t column, int64_t channel) {
  const uint8_t v = image.at(row, column, channel);
  if (!extreme(v)) return false;
  int alike = -1;  // itself
  for (int64_t y = std::max<int64_t>(row - 1, 0); y <= std::min(row + 1, image.height - 1); ++y)
    for (int64_t x = std::max<int64_t>(column - 1, 0); x <= std::min(column + 1, image.width - 1); ++x)
      alike += std::abs(static_cast<int>(image.at(y, x, channel)) - v) <= alike_within;
  return alike <= most_alike;
}

}  // namespace

Image remove_salt_and_pepper(const Image& image) {
  Image result = image;
  std::vector<uint8_t> sound;
  for (int64_t r = 0; r < image.height; ++r)
    for (int64_t c = 0; c < image.width; ++c)
      for (int64_t k = 0; k < image.channels; ++k) {
        if (!is_noise(image, r, c, k)) continue;
        for (int64_t reach = 1; reach <= 3; ++reach) {
          sound.clear();
          for (int64_t y = std::max<int64_t>(r - reach, 0); y <= std::min(r + reach, image.height - 1); ++y)
            for (int64_t x = std::max<int64_t>(c - reach, 0); x <= std::min(c + reach, image.width - 1); ++x)
              if (!extreme(image.at(y, x, k))) sound.push_back(image.at(y, x, k));
          if (sound.empty()) continue;
          const auto middle = sound.begin() + static_cast<std::ptrdiff_t>(sound.size() / 2);
          std::nth_element(sound.begin(), middle, sound.end());
          result.at(r, c, k) = *middle;
          break;
        }
      }
  return result;
}

}  // namespace dura
