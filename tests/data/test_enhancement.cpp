// CLAHE, median and the salt-and-pepper filter: equal to OpenCV where OpenCV has them (tests/golden/make_enhancement.py), and what each
// must leave alone.
#include "tests/support/catch.h"

#include <cstdlib>
#include <sstream>

#include "data/image/enhancement.h"
#include "data/phantom/phantom.h"
#include "engine/base/random.h"
#include "tests/support/picture_formula.h"

using namespace dura;
using Catch::Contains;

namespace {

// `share` of the pixels becomes 0 or 255 with equal chance, all channels of a pixel alike.
Image add_salt_and_pepper(Image image, double share, uint64_t seed) {
  Random random(random_key(seed, "salt and pepper"));
  for (int64_t r = 0; r < image.height; ++r)
    for (int64_t c = 0; c < image.width; ++c) {
      const double draw = random.uniform();
      if (draw >= share) continue;
      for (int64_t k = 0; k < image.channels; ++k) image.at(r, c, k) = draw < share / 2 ? 0 : 255;
    }
  return image;
}

int largest_difference(const Image& image, const std::string& hex) {
  const std::vector<uint8_t> expected = test::from_hex(hex);
  REQUIRE(expected.size() == image.pixels.size());
  int largest = 0;
  for (size_t i = 0; i < expected.size(); ++i) largest = std::max(largest, std::abs(image.pixels[i] - expected[i]));
  return largest;
}

int64_t different_pixels(const Image& a, const Image& b) {
  int64_t count = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) count += a.pixels[i] != b.pixels[i];
  return count;
}

double mean_error(const Image& a, const Image& b) {
  double sum = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) sum += std::abs(a.pixels[i] - b.pixels[i]);
  return sum / static_cast<double>(a.pixels.size());
}

Image phantom_slice() { return make_phantom({.seed = 5, .patients = 10}, 4).image; }

}  // namespace

TEST_CASE("CLAHE is OpenCV's, whatever the picture's size, the tiles and the clip limit", "[data][clahe]") {
  int cases = 0;
  for (const std::string& line : test::golden_lines("clahe.txt")) {
    std::istringstream in(line);
    int64_t height, width, down, across;
    double clip;
    std::string hex;
    REQUIRE(in >> height >> width >> clip >> down >> across >> hex);
    CAPTURE(height, width, clip, down, across);
    const Image result = clahe(test::picture(height, width, 1), {.clip_limit = clip, .tiles_y = down, .tiles_x = across});
    CHECK(largest_difference(result, hex) <= 1);
    ++cases;
  }
  CHECK(cases == 12);
}

TEST_CASE("CLAHE raises contrast, treats channels by themselves and refuses nonsense", "[data][clahe]") {
  const Image gray = phantom_slice();
  const auto spread = [](const Image& image) {
    double sum = 0, squares = 0;
    int64_t n = 0;
    for (uint8_t v : image.pixels)
      if (v > 20) sum += v, squares += double{1} * v * v, ++n;
    return squares / static_cast<double>(n) - sum * sum / static_cast<double>(n * n);
  };
  CHECK(spread(clahe(gray)) > 1.3 * spread(gray));
  const Image rgb = clahe(to_rgb(gray));
  CHECK(one_channel_if_gray(rgb) == clahe(gray));
  CHECK_THROWS_WITH(clahe(gray, {.clip_limit = -1}), Contains("clip limit is -1"));
  CHECK_THROWS_WITH(clahe(gray, {.tiles_y = 0}), Contains("0x8 tiles"));
}

TEST_CASE("the median filter is OpenCV's", "[data][median]") {
  int cases = 0;
  for (const std::string& line : test::golden_lines("median.txt")) {
    std::istringstream in(line);
    int64_t height, width, size;
    std::string hex;
    REQUIRE(in >> height >> width >> size >> hex);
    CAPTURE(height, width, size);
    CHECK(largest_difference(median_filter(test::picture(height, width, 1), size), hex) == 0);
    ++cases;
  }
  CHECK(cases == 6);
  CHECK_THROWS_WITH(median_filter(test::picture(8, 8, 1), 4), Contains("4 pixels"));
}

TEST_CASE("the salt-and-pepper filter brings back a noisy slice and touches no sound pixel", "[data][noise]") {
  const Image clean = phantom_slice();
  const Image noisy = add_salt_and_pepper(clean, 0.05, 3);
  const Image restored = remove_salt_and_pepper(noisy);
  CHECK(mean_error(noisy, clean) > 4);
  CHECK(mean_error(restored, clean) < 0.1 * mean_error(noisy, clean));
  // A median of the same width also changes nearly every pixel that was sound.
  CHECK(mean_error(restored, clean) < 0.5 * mean_error(median_filter(noisy, 3), clean));
  for (size_t i = 0; i < noisy.pixels.size(); ++i)
    if (noisy.pixels[i] != 0 && noisy.pixels[i] != 255) REQUIRE(restored.pixels[i] == noisy.pixels[i]);
}

TEST_CASE("black background, a saturated vessel and a saturated line stay as they are", "[data][noise]") {
  Image image(32, 32, 1, 0);
  for (int64_t r = 8; r < 24; ++r)
    for (int64_t c = 8; c < 24; ++c) image.at(r, c) = 100;
  for (int64_t r = 12; r < 15; ++r)
    for (int64_t c = 12; c < 15; ++c) image.at(r, c) = 255;            // vessel
  for (int64_t c = 9; c < 23; ++c) image.at(20, c) = 255;              // line
  CHECK(different_pixels(remove_salt_and_pepper(image), image) <= 2);  // the line's ends may go

  image.at(10, 10) = 0, image.at(17, 18) = 255;
  const Image restored = remove_salt_and_pepper(image);
  CHECK(restored.at(10, 10) == 100);
  CHECK(restored.at(17, 18) == 100);
}
