#include "data/audit/fingerprint.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "data/image/resize.h"

namespace dura {
namespace {

constexpr double degree = std::numbers::pi / 180;

void normalise(std::vector<float>& values) {
  double sum = 0, squares = 0;
  for (float v : values) sum += v;
  const double mean = sum / static_cast<double>(values.size());
  for (float v : values) squares += (v - mean) * (v - mean);
  // A level's difference from picture to picture is noise: below it there is nothing to compare.
  const double length = std::sqrt(squares);
  for (float& v : values) v = length > 1e-6 ? static_cast<float>((v - mean) / length) : 0.0f;
}

// Blurred along both axes, edges repeated; sigma in pixels.
std::vector<double> blurred(const std::vector<double>& values, int64_t size, double sigma) {
  const auto reach = static_cast<int64_t>(std::ceil(2.5 * sigma));
  std::vector<double> taps;
  double sum = 0;
  for (int64_t k = -reach; k <= reach; ++k)
    taps.push_back(std::exp(-0.5 * static_cast<double>(k * k) / (sigma * sigma))), sum += taps.back();
  const auto pass = [&](const std::vector<double>& from, int64_t line, int64_t step) {
    std::vector<double> to(from.size());
    for (int64_t l = 0; l < size; ++l)
      for (int64_t i = 0; i < size; ++i) {
        double total = 0;
        for (int64_t k = -reach; k <= reach; ++k)
          total +=
              taps[static_cast<size_t>(k + reach)] * from[static_cast<size_t>(l * line + std::clamp<int64_t>(i + k, 0, size - 1) * step)];
        to[static_cast<size_t>(l * line + i * step)] = total / sum;
      }
    return to;
  };
  return pass(pass(values, size, 1), 1, size);
}

// What is finer than about one thumbnail pixel is lost when a copy is rotated, and what is coarser than an eighth of the side all heads
// have in common: both are taken out, as the difference of two Gaussians.
std::vector<float> local_contrast(const Image& thumbnail, double smoothing) {
  const int64_t size = thumbnail.height;
  const std::vector<double> values(thumbnail.pixels.begin(), thumbnail.pixels.end());
  const std::vector<double> fine = smoothing > 0 ? blurred(values, size, smoothing) : values,
                            coarse = blurred(values, size, static_cast<double>(size) / 8);
  std::vector<float> contrast(values.size());
  for (size_t i = 0; i < contrast.size(); ++i) contrast[i] = static_cast<float>(fine[i] - coarse[i]);
  normalise(contrast);
  return contrast;
}

}  // namespace

Fingerprint fingerprint_of(const Image& image) {
  const Image gray = to_gray(image);
  return {local_contrast(resize_bilinear(gray, Fingerprint::coarse_size, Fingerprint::coarse_size), 0),
          local_contrast(resize_bilinear(gray, Fingerprint::fine_size, Fingerprint::fine_size), 0.9)};
}

Placement symmetry(int number) {
  return {.transposed = (number & 4) != 0, .flipped_vertically = (number & 2) != 0, .flipped_horizontally = (number & 1) != 0};
}

std::string Placement::name() const {
  constexpr const char* names[] = {"the same way up",           "mirrored left to right",        "mirrored top to bottom",
                                   "turned by 180 degrees",     "mirrored on the diagonal",      "turned right by 90 degrees",
                                   "turned left by 90 degrees", "mirrored on the other diagonal"};
  std::string text = names[4 * transposed + 2 * flipped_vertically + flipped_horizontally];
  if (std::abs(degrees) >= 0.5) text += concat(", rotated by ", std::round(degrees * 2) / 2, " degrees");
  return text;
}

std::vector<float> moved(const std::vector<float>& square, int64_t size, const Placement& p) {
  const double centre = 0.5 * static_cast<double>(size - 1), cos = std::cos(p.degrees * degree), sin = std::sin(p.degrees * degree);
  const bool moves = p.degrees != 0 || p.rows != 0 || p.columns != 0;
  const auto laid = [&](int64_t r, int64_t c) -> float {  // the symmetry alone
    if (r < 0 || c < 0 || r >= size || c >= size) return 0;
    if (p.flipped_horizontally) c = size - 1 - c;
    if (p.flipped_vertically) r = size - 1 - r;
    if (p.transposed) std::swap(r, c);
    return square[static_cast<size_t>(r * size + c)];
  };
  std::vector<float> result(square.size());
  for (int64_t r = 0; r < size; ++r)
    for (int64_t c = 0; c < size; ++c) {
      float& out = result[static_cast<size_t>(r * size + c)];
      if (!moves) {
        out = laid(r, c);
        continue;
      }
      const double y = static_cast<double>(r) - centre - p.rows * static_cast<double>(size),
                   x = static_cast<double>(c) - centre - p.columns * static_cast<double>(size);
      const double from_y = cos * y - sin * x + centre, from_x = sin * y + cos * x + centre;
      const double top = std::floor(from_y), left = std::floor(from_x);
      const auto dy = static_cast<float>(from_y - top), dx = static_cast<float>(from_x - left);
      const auto row = static_cast<int64_t>(top), column = static_cast<int64_t>(left);
      out = (laid(row, column) * (1 - dx) + laid(row, column + 1) * dx) * (1 - dy) +
            (laid(row + 1, column) * (1 - dx) + laid(row + 1, column + 1) * dx) * dy;
    }
  return result;
}

std::vector<float> placed(const std::vector<float>& thumbnail, int64_t size, const Placement& p) {
  std::vector<float> result = moved(thumbnail, size, p);
  if (p.degrees != 0 || p.rows != 0 || p.columns != 0) normalise(result);
  return result;
}

}  // namespace dura
