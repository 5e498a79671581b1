#include "data/image/resize.h"

#include <algorithm>
#include <cmath>

namespace dura {
namespace {

// Weights are integers with 22 fraction bits: 32 less 8 for the pixel and 2 for the sum of weights passing over one.
constexpr int fraction_bits = 22;

// For each output position: where its window begins, and its integer weights (`taps` apart, unused ones zero).
struct Filter {
  int64_t taps = 0;
  std::vector<int64_t> first;
  std::vector<int64_t> count;
  std::vector<int32_t> weights;
};

Filter triangle_filter(int64_t in, int64_t out) {
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const double support = std::max(scale, 1.0);  // half the width of the triangle, in input pixels
  Filter filter;
  filter.taps = static_cast<int64_t>(std::ceil(support)) * 2 + 1;
  filter.weights.assign(static_cast<size_t>(out * filter.taps), 0);
  std::vector<double> window(static_cast<size_t>(filter.taps));
  for (int64_t i = 0; i < out; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    const int64_t first = std::max<int64_t>(0, static_cast<int64_t>(center - support + 0.5));
    const int64_t count = std::min(in, static_cast<int64_t>(center + support + 0.5)) - first;
    double sum = 0;
    for (int64_t k = 0; k < count; ++k) {
      window[k] = std::max(0.0, 1.0 - std::abs((static_cast<double>(first + k) - center + 0.5) * (1.0 / support)));
      sum += window[k];
    }
    for (int64_t k = 0; k < count; ++k)
      filter.weights[i * filter.taps + k] = static_cast<int32_t>(window[k] / sum * (1 << fraction_bits) + 0.5);
    filter.first.push_back(first);
    filter.count.push_back(count);
  }
  return filter;
}

uint8_t round_to_pixel(int32_t sum) {
  return static_cast<uint8_t>(std::clamp((sum + (1 << (fraction_bits - 1))) >> fraction_bits, 0, 255));
}

Image resize_columns(const Image& image, int64_t width) {
  const Filter filter = triangle_filter(image.width, width);
  const int64_t channels = image.channels;
  Image out(image.height, width, channels);
  for (int64_t r = 0; r < image.height; ++r) {
    uint8_t* to = out.row(r);
    for (int64_t i = 0; i < width; ++i) {
      const uint8_t* from = image.row(r) + filter.first[i] * channels;
      const int32_t* weights = &filter.weights[i * filter.taps];
      for (int64_t c = 0; c < channels; ++c) {
        int32_t sum = 0;
        for (int64_t k = 0; k < filter.count[i]; ++k) sum += weights[k] * from[k * channels + c];
        to[i * channels + c] = round_to_pixel(sum);
      }
    }
  }
  return out;
}

Image resize_rows(const Image& image, int64_t height) {
  const Filter filter = triangle_filter(image.height, height);
  const int64_t length = image.width * image.channels;
  Image out(height, image.width, image.channels);
  std::vector<int32_t> sums(static_cast<size_t>(length));
  for (int64_t i = 0; i < height; ++i) {
    std::fill(sums.begin(), sums.end(), 0);
    for (int64_t k = 0; k < filter.count[i]; ++k) {
      const int32_t weight = filter.weights[i * filter.taps + k];
      const uint8_t* from = image.row(filter.first[i] + k);
      for (int64_t x = 0; x < length; ++x) sums[x] += weight * from[x];
    }
    std::transform(sums.begin(), sums.end(), out.row(i), round_to_pixel);
  }
  return out;
}

// The input position under each output pixel's centre. The centre is stepped, not multiplied out: where it falls on the border of two
// pixels, the rounding of the sum decides, as it does in Pillow.
std::vector<int64_t> nearest_positions(int64_t in, int64_t out) {
  const double step = static_cast<double>(in) / static_cast<double>(out);
  std::vector<int64_t> positions;
  double center = step * 0.5;
  for (int64_t i = 0; i < out; ++i, center += step) positions.push_back(std::min(in - 1, static_cast<int64_t>(center)));
  return positions;
}

void check_sizes(const Image& image, int64_t height, int64_t width) {
  DURA_CHECK(!image.empty(), "resize: the image is empty");
  DURA_CHECK(height > 0 && width > 0, "resize: to ", height, "x", width, " pixels, both must be positive");
}

}  // namespace

Image resize_bilinear(const Image& image, int64_t height, int64_t width) {
  check_sizes(image, height, width);
  Image out = image.width == width ? image : resize_columns(image, width);
  if (image.height != height) out = resize_rows(out, height);
  return out;
}

Image resize_nearest(const Image& image, int64_t height, int64_t width) {
  check_sizes(image, height, width);
  Image out(height, width, image.channels);
  const std::vector<int64_t> rows = nearest_positions(image.height, height), columns = nearest_positions(image.width, width);
  for (int64_t r = 0; r < height; ++r)
    for (int64_t c = 0; c < width; ++c)
      std::copy_n(image.row(rows[r]) + columns[c] * image.channels, image.channels, out.row(r) + c * image.channels);
  return out;
}

}  // namespace dura
