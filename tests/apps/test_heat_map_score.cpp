// Do heat maps point at the lesion? On drawn pictures where the answer is known.
#include "tests/support/catch.h"

#include <cmath>

#include "models/explain/heat_map_score.h"
#include "tests/support/named_values.h"
#include "tests/support/heat_map_pictures.h"

using namespace dura;
using namespace dura::test;
using Catch::Contains;

namespace {

Image everywhere(int64_t side) { return rectangle(side, 0, 0, side, side); }

PictureScore score(const Image& lesion, const HeatMap& map, const std::vector<HeatMap>& random_maps = {}, const Tolerance& tolerance = {}) {
  return score_picture({.gray = rectangle(lesion.height, 0, 0, lesion.height, lesion.width, 100),
                        .mask = lesion,
                        .region = everywhere(lesion.height),
                        .tolerance = tolerance},
                       map, random_maps);
}

}  // namespace

TEST_CASE("Otsu's threshold is OpenCV's", "[apps][heat_maps]") {
  const test::NamedValues golden = test::read_named_values("heat_maps.txt");
  const std::vector<double>& levels = golden.at("otsu_levels");
  const double expected = golden.at("otsu")[0];  // levels up to this one are in the lower class
  std::vector<float> values(levels.begin(), levels.end());
  CHECK(std::abs(otsu_threshold(values) - (expected + 0.5)) < 1e-9);
  for (float& v : values) v = 0.01f * v - 3;
  CHECK(otsu_threshold(values) == Approx(0.01 * (expected + 0.5) - 3).epsilon(1e-6));
  CHECK(otsu_threshold({2, 2, 2}) == 2);
  CHECK_THROWS(otsu_threshold({}));
}

TEST_CASE("a map's peak lies under the centre of its largest cell, also in pictures that are not square", "[apps][heat_maps]") {
  const auto peak = [](const HeatMap& map, int64_t height, int64_t width) {
    const Pixel p = peak_of(map, height, width);
    return std::pair(p.row, p.column);
  };
  CHECK(peak(point_map(7, 0, 6), 224, 224) == std::pair<int64_t, int64_t>(16, 208));
  CHECK(peak(point_map(4, 3, 1), 40, 120) == std::pair<int64_t, int64_t>(35, 45));
  CHECK(peak(point_map(5, 2, 3), 5, 5) == std::pair<int64_t, int64_t>(2, 3));
  // The enlarged map is largest there.
  const HeatMap large = resize(point_map(4, 3, 1), 40, 120);
  CHECK(large.values[35 * 120 + 45] == Approx(*std::max_element(large.values.begin(), large.values.end())).epsilon(0.2));
}

TEST_CASE("no map of the same cells points better than the best single cell", "[apps][heat_maps]") {
  const auto best = [](int64_t cells, const Image& lesion) { return score(lesion, point_map(cells, 0, 0))[Guess::best_cell]; };
  // Middles of 4 cells over 32 pixels: 4, 12, 20, 28. A lesion between them cannot be pointed at, one on a middle can.
  CHECK(best(4, rectangle(32, 14, 14, 4, 4)).pointing == 0);
  CHECK(best(4, rectangle(32, 11, 11, 4, 4)).pointing == 1);
  CHECK(best(8, rectangle(32, 14, 14, 4, 4)).pointing == 1);
  CHECK(best(4, rectangle(32, 14, 14, 4, 4)).energy > 0);
  CHECK(best(8, rectangle(32, 14, 14, 4, 4)).energy > 2 * best(4, rectangle(32, 14, 14, 4, 4)).energy);
  // The whole picture in one cell: all of any map is inside of a lesion that fills it.
  CHECK(best(1, everywhere(32)).energy == 1);
  // Any other map has no more, wherever the lesion is.
  for (const Image& lesion : {rectangle(32, 3, 20, 9, 7), rectangle(32, 0, 0, 5, 5), rectangle(32, 14, 14, 4, 4)})
    for (uint32_t seed = 1; seed < 40; ++seed) {
      HeatMap map = point_map(4, 0, 0);
      for (size_t i = 0; i < map.values.size(); ++i) map.values[i] = static_cast<float>((seed * 2654435761u >> (i % 16)) % 17);
      const PictureScore s = score(lesion, map);
      CHECK(s[Guess::network].energy <= s[Guess::best_cell].energy + 1e-6);
      CHECK(s[Guess::network].pointing <= s[Guess::best_cell].pointing);
    }
}

TEST_CASE("the head is what is bright and what lies between", "[apps][heat_maps]") {
  Image head = rectangle(40, 8, 10, 20, 16, 200);
  for (int64_t r = 12; r < 20; ++r) std::fill_n(head.row(r) + 14, 6, uint8_t{0});  // dark ventricles belong to it
  head.at(0, 0) = 15;                                                              // noise outside does not
  const Image region = head_region(head);
  CHECK(region == rectangle(40, 8, 10, 20, 16));
  const Pixel centre = centre_of(region);
  CHECK(std::abs(static_cast<double>(centre.row) - 17.5) <= 0.5);
  CHECK(std::abs(static_cast<double>(centre.column) - 17.5) <= 0.5);
  CHECK(head_region(Image(8, 8, 1)) == Image(8, 8, 1));
  CHECK(centre_of(Image(8, 8, 1)).row == 4);
  CHECK_THROWS_WITH(head_region(Image(8, 8, 3)), Contains("gray picture is expected, got 3"));
}

TEST_CASE("the brightest smoothed point is no single bright pixel, and lies inside", "[apps][heat_maps]") {
  Image gray = rectangle(48, 20, 30, 5, 5, 120);
  gray.at(10, 10) = 255;
  for (int64_t r = 0; r < 6; ++r) std::fill_n(gray.row(r), 6, uint8_t{250});
  const HeatMap guess = brightness_guess(gray, rectangle(48, 8, 8, 32, 32));
  CHECK(peak_of(guess, 48, 48).row == 22);
  CHECK(peak_of(guess, 48, 48).column == 32);
  CHECK(guess.values[0] == 0);
  CHECK(*std::min_element(guess.values.begin(), guess.values.end()) == 0);
}

TEST_CASE("the centre's guess is largest at the brain's centre, not at the picture's", "[apps][heat_maps]") {
  const HeatMap guess = centre_guess(rectangle(40, 0, 20, 11, 13));
  CHECK(peak_of(guess, 40, 40).row == 5);
  CHECK(peak_of(guess, 40, 40).column == 26);
  CHECK(guess.values[5 * 40 + 26] == 1);
  CHECK(guess.values[10 * 40 + 26] == Approx(std::exp(-0.5)));  // a standard deviation of 40/8 away
}

TEST_CASE("a map hits when its highest point is in the lesion", "[apps][heat_maps]") {
  const Image lesion = rectangle(64, 8, 40, 16, 16);
  const PictureScore hit = score(lesion, point_map(8, 1, 5), {point_map(8, 6, 1), point_map(8, 1, 5)});
  CHECK(hit.evidence);
  CHECK(hit[Guess::network].pointing == 1);
  CHECK(hit[Guess::random_weights].pointing == 0.5);
  CHECK(hit[Guess::random_weights].energy == Approx(hit[Guess::network].energy / 2));
  CHECK(hit.random_maps_with_evidence == 1);
  CHECK(hit[Guess::brain_centre].pointing == 0);
  CHECK(hit[Guess::random_point].pointing == 256.0 / 4096);
  CHECK(hit[Guess::random_point].energy == 256.0 / 4096);
  CHECK(hit[Guess::network].energy > 0.4);
  CHECK(hit[Guess::network].iou_half > 0.1);
  const MapScore miss = score(lesion, point_map(8, 6, 1))[Guess::network];
  CHECK(miss.pointing == 0);
  CHECK(miss.energy == 0);
  CHECK(miss.iou_half == 0);
  CHECK(miss.iou_otsu == 0);
  // Rows and columns are not exchanged.
  CHECK(score(lesion, point_map(8, 5, 1))[Guess::network].pointing == 0);
  CHECK(score(rectangle(64, 24, 24, 16, 16), point_map(8, 0, 0))[Guess::brain_centre].pointing == 1);

  HeatMap exact{64, 64, {}};
  for (uint8_t v : lesion.pixels) exact.values.push_back(v ? 3.0f : 0.0f);
  const MapScore perfect = score(lesion, exact)[Guess::network];
  CHECK(perfect.pointing == 1);
  CHECK(perfect.energy == 1);
  CHECK(perfect.iou_half == 1);
  CHECK(perfect.iou_otsu == 1);
}

TEST_CASE("a weaker second place counts for Otsu's overlap and not for the one at half height", "[apps][heat_maps]") {
  HeatMap map{64, 64, std::vector<float>(4096)};
  const Image strong = rectangle(64, 0, 0, 8, 8), weak = rectangle(64, 40, 40, 16, 16);
  for (size_t i = 0; i < 4096; ++i) map.values[i] = strong.pixels[i] ? 1.0f : weak.pixels[i] ? 0.45f : 0.0f;
  const MapScore s = score(weak, map)[Guess::network];
  CHECK(s.iou_half == 0);
  CHECK(s.iou_otsu == Approx(256.0 / 320));
}

TEST_CASE("a map without evidence hits nothing, even where the lesion holds its first pixel", "[apps][heat_maps]") {
  const HeatMap zero{8, 8, std::vector<float>(64)};
  const PictureScore r = score(rectangle(32, 0, 0, 8, 8), zero, {zero});
  CHECK_FALSE(r.evidence);
  CHECK(r.random_maps_with_evidence == 0);
  for (Guess g : {Guess::network, Guess::random_weights})
    for (double v : {r[g].pointing, r[g].energy, r[g].iou_half, r[g].iou_otsu}) CHECK(v == 0);
  CHECK(r[Guess::random_point].energy == 64.0 / 1024);
}

TEST_CASE("a tolerance counts near misses, in pixels or in mm, and raises the chance of a random point", "[apps][heat_maps]") {
  const Image lesion = rectangle(64, 30, 30, 4, 4);
  const HeatMap above = point_map(64, 25, 31);  // 5 rows above the lesion's first
  const auto hit = [&](const HeatMap& map, const std::string& tolerance) {
    return score(lesion, map, {}, parse_tolerance(tolerance))[Guess::network].pointing;
  };
  CHECK(hit(above, "0") == 0);
  CHECK(hit(above, "4px") == 0);
  CHECK(hit(above, "5px") == 1);
  CHECK(hit(point_map(64, 26, 26), "5px") == 0);  // diagonally, further than 5 pixels
  CHECK(hit(point_map(64, 27, 26), "5px") == 1);  // 3 and 4
  // 2 mm a pixel in height, 0.5 mm in width: 4 mm are two rows or eight columns.
  const Image grown = grow(lesion, parse_tolerance("4mm"), {.row = 2, .column = 0.5});
  CHECK(grown.at(28, 31) == 255);
  CHECK(grown.at(27, 31) == 0);
  CHECK(grown.at(31, 22) == 255);
  CHECK(grown.at(31, 21) == 0);
  CHECK(score(lesion, above, {}, parse_tolerance("5px"))[Guess::random_point].pointing > 100.0 / 4096);
  CHECK(score(lesion, above, {}, parse_tolerance("5px"))[Guess::random_point].energy == 16.0 / 4096);
  CHECK(grow(lesion, parse_tolerance("0"), {}) == lesion);
  CHECK_THROWS_WITH(grow(lesion, parse_tolerance("4mm"), {}), Contains("mm_per_pixel"));
  for (const char* bad : {"", "5", "px", "-1px", "nanpx", "5 cm", "5pxx", "1e9px"})
    CHECK_THROWS_WITH(parse_tolerance(bad), Contains("15px or 5mm"));
  CHECK(parse_tolerance("2.5mm").text() == "2.5 mm");
}

TEST_CASE("masks that cannot be scored are refused, and a lesion outside of the brain widens the region", "[apps][heat_maps]") {
  const HeatMap map = point_map(8, 0, 0);
  const Image gray = rectangle(32, 0, 0, 32, 32, 100);
  CHECK_THROWS_WITH(score_picture({.gray = gray, .mask = Image(16, 32, 1), .region = gray}, map, {}), Contains("its mask 16x32"));
  CHECK_THROWS_WITH(score_picture({.gray = gray, .mask = Image(32, 32, 1), .region = gray}, map, {}), Contains("mask is empty"));
  const ScoredSlice outside{.gray = gray, .mask = rectangle(32, 0, 0, 8, 8), .region = rectangle(32, 16, 16, 8, 8)};
  CHECK(score_picture(outside, map, {})[Guess::random_point].energy == 0.5);
  const ScoredSlice no_region{.gray = gray, .mask = rectangle(32, 0, 0, 8, 8), .region = Image(32, 32, 1)};
  CHECK(score_picture(no_region, map, {})[Guess::random_point].energy == 1);
}
