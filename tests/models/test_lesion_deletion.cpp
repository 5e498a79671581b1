// What is asked of a network about a lesion: how its pixels are replaced, where equal areas are found elsewhere, and what the falls are of.
#include "tests/support/catch.h"

#include <cmath>

#include "models/explain/deletion_curve.h"
#include "models/explain/heat_map_score.h"
#include "models/explain/lesion_deletion.h"
#include "tests/support/heat_map_pictures.h"
#include "tests/support/texture_data.h"

using namespace dura;
using namespace dura::test;

namespace {

int64_t inside(const Image& mask) {
  return std::count_if(mask.pixels.begin(), mask.pixels.end(), [](uint8_t v) { return v != 0; });
}

Classifier small_network() { return Classifier({.backbone = {.depth = 18}, .classes = {"a", "b"}, .seed = 4}); }

}  // namespace

TEST_CASE("a hole is filled with the smooth continuation of its rim, and nothing else is touched", "[models][lesion_deletion]") {
  Image ramp(40, 40, 1);
  for (int64_t r = 0; r < 40; ++r)
    for (int64_t c = 0; c < 40; ++c)
      ramp.at(r, c) = static_cast<uint8_t>(20 + 2 * r + 3 * c);  // harmonic: what fills it is the ramp itself
  Image bright = ramp;
  const Image hole = rectangle(40, 10, 12, 15, 9);
  for (size_t i = 0; i < hole.pixels.size(); ++i)
    if (hole.pixels[i]) bright.pixels[i] = 255;
  const Image filled = filled_in(bright, hole);
  for (size_t i = 0; i < hole.pixels.size(); ++i) {
    if (!hole.pixels[i]) CHECK(filled.pixels[i] == bright.pixels[i]);
    CHECK(std::abs(filled.pixels[i] - ramp.pixels[i]) <= 1);
  }
  // Channel by channel.
  Image colours = to_rgb(bright);
  for (size_t i = 1; i < colours.pixels.size(); i += 3) colours.pixels[i] = 7;
  const Image of_colours = filled_in(colours, hole);
  CHECK(of_colours.at(15, 15, 0) == filled.at(15, 15));
  CHECK(of_colours.at(15, 15, 1) == 7);
  CHECK(filled_in(bright, Image(40, 40, 1, 255)) == bright);
  CHECK_THROWS_WITH(filled_in(bright, Image(20, 40, 1)), Catch::Contains("20x40"));
}

TEST_CASE("the other side is that of the region, not of the picture", "[models][lesion_deletion]") {
  Image image(8, 20, 1);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<uint8_t>(i);
  Image mask(8, 20, 1), region(8, 20, 1);
  for (int64_t r = 2; r < 6; ++r)
    for (int64_t c = 4; c <= 13; ++c) region.at(r, c) = 255;
  mask.at(3, 5) = 1;
  const Image mirrored = mirrored_in(image, mask, region);
  CHECK(mirrored.at(3, 5) == image.at(3, 12));
  CHECK(mirrored.at(3, 12) == image.at(3, 12));
}

TEST_CASE("equal areas elsewhere lie in the region and keep away from the lesion, and there may be none", "[models][lesion_deletion]") {
  const Image lesion = rectangle(64, 20, 20, 9, 7), region = rectangle(64, 10, 10, 44, 44);
  const std::vector<Image> places = moved_elsewhere(lesion, region, 5, 3, 11);
  REQUIRE(places.size() == 5);
  const Image near = grow(lesion, {.amount = 3});
  for (const Image& place : places) {
    CHECK(inside(place) == 63);
    int64_t in_region = 0, too_near = 0;
    for (size_t i = 0; i < place.pixels.size(); ++i) {
      in_region += place.pixels[i] && region.pixels[i];
      too_near += place.pixels[i] && near.pixels[i];
    }
    CHECK(10 * in_region >= 9 * 63);
    CHECK(too_near == 0);
  }
  CHECK(places[0] != places[1]);
  CHECK(moved_elsewhere(lesion, region, 5, 3, 11) == places);
  CHECK(moved_elsewhere(lesion, region, 5, 3, 12) != places);
  CHECK(moved_elsewhere(rectangle(64, 12, 12, 40, 40), region, 2, 3, 1).empty());
}

TEST_CASE("falls are those of the answer's probability for the pictures that stand in for the slice", "[models][lesion_deletion]") {
  Classifier model = small_network();
  const Image slice = texture(5, true, 64, 64), lesion = rectangle(64, 20, 20, 9, 7), region = rectangle(64, 6, 6, 52, 52);
  const LesionDeletion d = lesion_deletion(model, slice, lesion, region, 3, {.places = 2});
  const auto probability = [&](const Image& image) { return class_probabilities(model, {image}, 1)[0][static_cast<size_t>(d.answer)]; };
  CHECK(d.probability == Approx(probability(slice)).epsilon(1e-6));
  CHECK(d.probability >= 0.5);
  CHECK(d.filled == Approx(d.probability - probability(filled_in(slice, lesion))).margin(1e-6));
  CHECK(d.mirrored == Approx(d.probability - probability(mirrored_in(slice, lesion, region))).margin(1e-6));
  CHECK(d.filled != 0);
  CHECK((std::isfinite(d.filled_elsewhere) && std::isfinite(d.mirrored_elsewhere)));
  CHECK((d.kept > 0 && d.kept < 1));
  // No room elsewhere: nothing to compare with.
  const LesionDeletion crowded = lesion_deletion(model, slice, rectangle(64, 8, 8, 46, 46), region, 3);
  CHECK(std::isnan(crowded.filled_elsewhere));
  // Where there is nothing but one grey level, no replacement changes anything.
  const LesionDeletion flat = lesion_deletion(model, Image(64, 64, 1, 90), lesion, region, 3);
  for (const double fall : {flat.filled, flat.filled_elsewhere, flat.mirrored, flat.mirrored_elsewhere}) CHECK(std::abs(fall) < 1e-6);
  CHECK(flat.kept == Approx(flat.probability));
}

TEST_CASE("occlusion marks the windows whose loss lowers the answer", "[models][lesion_deletion]") {
  Classifier model = small_network();
  const HeatMap flat = occlusion_map(model, Image(56, 56, 1, 90), 0);
  CHECK((flat.height == 13 && flat.width == 13 && flat.values.size() == 169));
  for (const float v : flat.values) CHECK(v < 1e-6f);
  const HeatMap map = occlusion_map(model, texture(5, true, 56, 56), 0), other = occlusion_map(model, texture(5, true, 56, 56), 1);
  CHECK((map.has_evidence() || other.has_evidence()));
  // What lowers one of two classes raises the other.
  for (size_t i = 0; i < map.values.size(); ++i) CHECK((map.values[i] < 1e-6f || other.values[i] < 1e-6f));
  // The middle of the first window of 8 pixels.
  CHECK(peak_of(HeatMap{13, 13, std::vector<float>(169, 1.0f), map.rows, map.columns}, 56, 56).row == 4);
}
