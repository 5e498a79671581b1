#include "data/image/enhancement.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>

namespace dura {

namespace {

constexpr int64_t levels = 256;
using Histogram = std::array<int64_t, levels>;
using LevelMap = std::array<uint8_t, levels>;

// A picture that the tiles do not divide is continued on the right and below by reflection about its last pixel. As in OpenCV, both
// directions grow where either must, the one that fits by a whole row of tiles.
struct Grid {
  int64_t height, width;  // of one tile
  explicit Grid(const Image& image, const ClaheOptions& o) {
    const bool divides = image.height % o.tiles_y == 0 && image.width % o.tiles_x == 0;
    const auto grown = [&](int64_t size, int64_t tiles) { return divides ? size : size + tiles - size % tiles; };
    height = grown(image.height, o.tiles_y) / o.tiles_y, width = grown(image.width, o.tiles_x) / o.tiles_x;
  }
};

int64_t reflected(int64_t i, int64_t size) {
  if (size == 1) return 0;
  const int64_t period = 2 * (size - 1), at = i % period;
  return at < size ? at : period - at;
}

Histogram histogram_of(const Image& image, int64_t channel, int64_t top, int64_t left, const Grid& tile) {
  Histogram counts{};
  for (int64_t r = top; r < top + tile.height; ++r)
    for (int64_t c = left; c < left + tile.width; ++c) ++counts[image.at(reflected(r, image.height), reflected(c, image.width), channel)];
  return counts;
}

// What exceeds the limit is spread over all bins; what does not divide evenly goes to bins at equal distances.
void limit(Histogram& counts, int64_t most) {
  int64_t excess = 0;
  for (int64_t& count : counts) {
    excess += std::max<int64_t>(count - most, 0);
    count = std::min(count, most);
  }
  const int64_t share = excess / levels;
  for (int64_t& count : counts) count += share;
  int64_t rest = excess - share * levels;
  const int64_t step = std::max<int64_t>(levels / std::max<int64_t>(rest, 1), 1);
  for (int64_t i = 0; i < levels && rest > 0; i += step, --rest) ++counts[static_cast<size_t>(i)];
}

uint8_t rounded(float v) { return static_cast<uint8_t>(std::clamp(std::nearbyint(v), 0.0f, 255.0f)); }

LevelMap cumulated(const Histogram& counts, int64_t pixels) {
  const float scale = static_cast<float>(levels - 1) / static_cast<float>(pixels);
  LevelMap map;
  int64_t sum = 0;
  for (size_t i = 0; i < levels; ++i) sum += counts[i], map[i] = rounded(static_cast<float>(sum) * scale);
  return map;
}

// Where a pixel lies between the centres of two neighbouring tiles; beyond the outermost centres both are the same tile.
struct Between {
  int64_t first, second;
  float toward_second;
  Between(int64_t i, int64_t tile, int64_t tiles) {
    const float at = static_cast<float>(i) * (1.0f / static_cast<float>(tile)) - 0.5f, floor = std::floor(at);
    const auto below = static_cast<int64_t>(floor);
    first = std::max<int64_t>(below, 0), second = std::min(below + 1, tiles - 1), toward_second = at - floor;
  }
};

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

void check_options(const ClaheOptions& o) {
  if (!(o.clip_limit >= 0 && std::isfinite(o.clip_limit)))
    fail_usage("CLAHE: the clip limit is ", o.clip_limit, ", it must be 0 (no limit) or positive; 2 is usual");
  if (o.tiles_y < 1 || o.tiles_y > 256 || o.tiles_x < 1 || o.tiles_x > 256)
    fail_usage("CLAHE: ", o.tiles_y, "x", o.tiles_x, " tiles, there must be 1 to 256 in either direction; 8 are usual");
}

Image clahe(const Image& image, const ClaheOptions& o) {
  check_options(o);
  const Grid tile(image, o);
  const int64_t pixels = tile.height * tile.width;
  const int64_t most =
      o.clip_limit > 0 ? std::max<int64_t>(static_cast<int64_t>(o.clip_limit * static_cast<double>(pixels) / levels), 1) : pixels;
  std::vector<Between> columns;
  for (int64_t c = 0; c < image.width; ++c) columns.emplace_back(c, tile.width, o.tiles_x);

  Image result(image.height, image.width, image.channels);
  std::vector<LevelMap> maps(static_cast<size_t>(o.tiles_y * o.tiles_x));
  for (int64_t channel = 0; channel < image.channels; ++channel) {
    for (int64_t y = 0; y < o.tiles_y; ++y)
      for (int64_t x = 0; x < o.tiles_x; ++x) {
        Histogram counts = histogram_of(image, channel, y * tile.height, x * tile.width, tile);
        limit(counts, most);
        maps[static_cast<size_t>(y * o.tiles_x + x)] = cumulated(counts, pixels);
      }
    for (int64_t r = 0; r < image.height; ++r) {
      const Between row(r, tile.height, o.tiles_y);
      for (int64_t c = 0; c < image.width; ++c) {
        const Between& column = columns[static_cast<size_t>(c)];
        const uint8_t level = image.at(r, c, channel);
        const auto mapped = [&](int64_t y, int64_t x) { return static_cast<float>(maps[static_cast<size_t>(y * o.tiles_x + x)][level]); };
        const float x2 = column.toward_second, x1 = 1.0f - x2, y2 = row.toward_second, y1 = 1.0f - y2;
        const float upper = mapped(row.first, column.first) * x1 + mapped(row.first, column.second) * x2,
                    lower = mapped(row.second, column.first) * x1 + mapped(row.second, column.second) * x2;
        result.at(r, c, channel) = rounded(upper * y1 + lower * y2);
      }
    }
  }
  return result;
}

Image median_filter(const Image& image, int64_t width) {
  if (width < 3 || width > 15 || width % 2 == 0) fail_usage("median filter: a square of ", width, " pixels; use 3, 5, ... 15");
  const int64_t reach = width / 2;
  Image result(image.height, image.width, image.channels);
  std::vector<uint8_t> square(static_cast<size_t>(width * width));
  const auto middle = square.begin() + static_cast<std::ptrdiff_t>(square.size() / 2);
  for (int64_t r = 0; r < image.height; ++r)
    for (int64_t c = 0; c < image.width; ++c)
      for (int64_t k = 0; k < image.channels; ++k) {
        size_t n = 0;
        for (int64_t y = r - reach; y <= r + reach; ++y)
          for (int64_t x = c - reach; x <= c + reach; ++x)
            square[n++] = image.at(std::clamp<int64_t>(y, 0, image.height - 1), std::clamp<int64_t>(x, 0, image.width - 1), k);
        std::nth_element(square.begin(), middle, square.end());
        result.at(r, c, k) = *middle;
      }
  return result;
}

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
