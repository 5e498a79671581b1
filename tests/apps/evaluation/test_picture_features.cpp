// What is measured on a slice, on slices that were drawn to have it.
#include "tests/support/catch.h"

#include <cmath>

#include "apps/evaluation/error_analysis.h"

using namespace dura;

namespace {

void disc(Image& image, double row, double column, double radius, uint8_t value) {
  for (int64_t r = 0; r < image.height; ++r)
    for (int64_t c = 0; c < image.width; ++c)
      if (std::hypot(static_cast<double>(r) - row, static_cast<double>(c) - column) <= radius) image.at(r, c) = value;
}

// A scalp, a brain with a little texture, a dark ventricle.
Image head() {
  Image image(128, 128, 1);
  disc(image, 64, 64, 56, 220);
  disc(image, 64, 64, 50, 100);
  for (int64_t r = 0; r < 128; ++r)
    for (int64_t c = 0; c < 128; ++c)
      if (image.at(r, c) == 100) image.at(r, c) = static_cast<uint8_t>(95 + (r + c) % 11);
  disc(image, 64, 64, 8, 5);
  return image;
}

}  // namespace

TEST_CASE("a plain head has the brain's intensity, and neither bright spots nor a bright border", "[evaluation]") {
  const PictureFeatures f = measure_picture(head());
  CHECK(f.mean_intensity == Approx(97).margin(2));  // not the scalp; the ventricle belongs to the head
  CHECK(f.brightness >= 104);
  CHECK(f.brightness <= 105);
  CHECK(f.bright_spots == 0);
  CHECK_FALSE(f.bright_at_border);
}

TEST_CASE("small bright spots are counted, single pixels and large regions are not", "[evaluation]") {
  Image image = head();
  disc(image, 50, 50, 1, 250);
  disc(image, 80, 70, 1, 250);
  image.at(40, 80) = 250;
  disc(image, 85, 50, 6, 250);
  CHECK(measure_picture(image).bright_spots == 2);
}

TEST_CASE("a bright region counts where it reaches the border of the brain", "[evaluation]") {
  Image inside = head(), outside = head();
  disc(inside, 45, 64, 8, 230);
  disc(outside, 22, 64, 10, 230);
  CHECK_FALSE(measure_picture(inside).bright_at_border);
  CHECK(measure_picture(outside).bright_at_border);
}

TEST_CASE("black, tiny and coloured pictures are measured or not, without a crash", "[evaluation]") {
  const PictureFeatures black = measure_picture(Image(64, 64, 1));
  CHECK(std::isnan(black.mean_intensity));
  CHECK(black.bright_spots == 0);
  CHECK(measure_picture(Image(64, 64, 1, 100)).mean_intensity == 100);  // no background at all: the picture's edge is the head's
  measure_picture(Image(1, 1, 1, 255));
  CHECK(measure_picture(to_rgb(head())).mean_intensity == measure_picture(head()).mean_intensity);
}
