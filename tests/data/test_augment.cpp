#include "tests/support/catch.h"

#include <cmath>

#include "data/set/augment.h"
#include "data/image/lesion.h"
#include "engine/base/check.h"
#include "engine/base/random.h"

using namespace dura;

namespace {

// A disc, 1 inside.
Image disc(int64_t size, double row, double column, double radius) {
  Image mask(size, size, 1);
  for (int64_t r = 0; r < size; ++r)
    for (int64_t c = 0; c < size; ++c)
      mask.at(r, c) = std::hypot(static_cast<double>(r) - row, static_cast<double>(c) - column) <= radius ? 255 : 0;
  return mask;
}

struct Geometry {
  double angle, row_zoom, column_zoom;  // degrees; zooms carry the sign of the flips
};

// Reads the parts back from the matrix: its columns are the images of the two axes.
Geometry geometry_of(const Augmentation& a) {
  const auto& m = a.matrix;
  const double row_scale = std::hypot(m[0], m[3]), column_scale = std::hypot(m[1], m[4]);
  const double flip_rows = m[0] < 0 ? -1 : 1, flip_columns = m[4] < 0 ? -1 : 1;
  return {std::atan2(m[3] * flip_rows, m[0] * flip_rows) * 57.29577951308232, flip_rows / row_scale, flip_columns / column_scale};
}

}  // namespace

TEST_CASE("the policy without changes gives the exact identity", "[data][augment]") {
  for (uint64_t key = 0; key < 50; ++key) CHECK(draw_augmentation({}, 1, key, 224, 224) == Augmentation{});
  CHECK(AugmentPolicy{}.changes_nothing());
  CHECK(!light_augmentation().changes_nothing());
}

TEST_CASE("augmentation draws fill the ranges of the policy and no more", "[data][augment]") {
  struct Seen {
    double least_angle = 1e9, most_angle = -1e9, least_zoom = 1e9, most_zoom = -1e9, least_sharp = 1e9, most_sharp = -1e9, mean_angle = 0;
    int row_flips = 0, column_flips = 0;
  };
  const int count = 4000;
  const auto survey = [&](const AugmentPolicy& policy) {
    Seen seen;
    for (int i = 0; i < count; ++i) {
      const Augmentation a = draw_augmentation(policy, 7, make_row_key(static_cast<uint64_t>(i), 3, 0), 224, 200);
      const Geometry g = geometry_of(a);
      REQUIRE(std::abs(g.row_zoom) == Approx(std::abs(g.column_zoom)).epsilon(1e-5));
      seen.least_angle = std::min(seen.least_angle, g.angle), seen.most_angle = std::max(seen.most_angle, g.angle);
      seen.least_zoom = std::min(seen.least_zoom, std::abs(g.row_zoom)), seen.most_zoom = std::max(seen.most_zoom, std::abs(g.row_zoom));
      seen.least_sharp = std::min<double>(seen.least_sharp, a.sharpness), seen.most_sharp = std::max<double>(seen.most_sharp, a.sharpness);
      seen.mean_angle += g.angle / count;
      seen.row_flips += g.row_zoom < 0;
      seen.column_flips += g.column_zoom < 0;
    }
    return seen;
  };
  const Seen strong = survey(strong_augmentation());
  CHECK((strong.least_angle > -20.001 && strong.least_angle < -19.8 && strong.most_angle < 20.001 && strong.most_angle > 19.8));
  CHECK((strong.least_zoom > 0.7999 && strong.least_zoom < 0.803 && strong.most_zoom < 1.2001 && strong.most_zoom > 1.197));
  CHECK((strong.least_sharp >= 1 && strong.least_sharp < 1.01 && strong.most_sharp <= 2 && strong.most_sharp > 1.99));
  CHECK(std::abs(strong.mean_angle) < 1);
  CHECK(std::abs(strong.row_flips - count / 2) < 150);
  CHECK(std::abs(strong.column_flips - count / 2) < 150);

  const Seen light = survey(light_augmentation());
  CHECK((light.least_angle > -5.001 && light.most_angle < 5.001 && light.most_angle > 4.9));
  CHECK((light.least_zoom > 0.9499 && light.most_zoom < 1.0501));
  CHECK((light.least_sharp == 1 && light.most_sharp == 1));
  CHECK(light.row_flips == 0);
  CHECK(std::abs(light.column_flips - count / 2) < 150);
}

TEST_CASE("augmentation keeps the centre, unless it shifts", "[data][augment]") {
  AugmentPolicy policy = strong_augmentation();
  const auto center_distance = [](const Augmentation& a) {
    const double row = a.matrix[0] * 111.5 + a.matrix[1] * 99.5 + a.matrix[2],
                 column = a.matrix[3] * 111.5 + a.matrix[4] * 99.5 + a.matrix[5];
    return std::hypot(row - 111.5, column - 99.5);
  };
  double farthest = 0, shifted = 0;
  for (uint64_t key = 0; key < 200; ++key) farthest = std::max(farthest, center_distance(draw_augmentation(policy, 1, key, 224, 200)));
  CHECK(farthest < 1e-3);
  policy.shift = 0.1;
  for (uint64_t key = 0; key < 200; ++key) shifted = std::max(shifted, center_distance(draw_augmentation(policy, 1, key, 224, 200)));
  CHECK(shifted > 10);
}

TEST_CASE("changing one range leaves the other draws alone", "[data][augment]") {
  AugmentPolicy turned = strong_augmentation(), sharpened = strong_augmentation();
  sharpened.sharpness_high = 1;
  sharpened.brightness_low = 0.5;
  for (uint64_t key = 0; key < 20; ++key)
    CHECK(draw_augmentation(turned, 1, key, 64, 64).matrix == draw_augmentation(sharpened, 1, key, 64, 64).matrix);
  CHECK(draw_augmentation(turned, 1, 5, 64, 64) != draw_augmentation(turned, 2, 5, 64, 64));
  CHECK(draw_augmentation(turned, 1, 5, 64, 64) != draw_augmentation(turned, 1, 6, 64, 64));
}

TEST_CASE("a warped mask lands where the matrix says, and its area grows by the zoom squared", "[data][augment]") {
  const Image mask = disc(160, 60, 95, 14);
  const LesionSize before = measure_lesion(mask, 1);
  for (uint64_t key = 0; key < 25; ++key) {
    const Augmentation a = draw_augmentation(strong_augmentation(), 4, key, 160, 160);
    const LesionSize after = measure_lesion(warp_mask(mask, a), 1);
    const auto& m = a.matrix;
    CHECK(m[0] * after.row + m[1] * after.column + m[2] == Approx(before.row).margin(0.5));
    CHECK(m[3] * after.row + m[4] * after.column + m[5] == Approx(before.column).margin(0.5));
    const double zoom = std::abs(geometry_of(a).row_zoom);
    CHECK(static_cast<double>(after.pixels) == Approx(static_cast<double>(before.pixels) * zoom * zoom).epsilon(0.05));
  }
}

TEST_CASE("a lesion's size follows from its mask and the size of a pixel", "[data][lesion]") {
  const LesionSize size = measure_lesion(disc(100, 40, 55, 20), 0.5);
  CHECK(size.diameter_mm == Approx(20).epsilon(0.01));
  CHECK(size.area_mm2 == Approx(314.16).epsilon(0.01));
  CHECK((size.row == Approx(40) && size.column == Approx(55)));
  CHECK(measure_lesion(disc(100, 40, 55, 20), 0).diameter_mm == 0);
  CHECK(measure_lesion(Image(5, 5, 1), 1).pixels == 0);
}
