// Do heat maps point at the lesion? On drawn pictures where the answer is known.
#include <catch2/catch.hpp>

#include <cmath>

#include "apps/report/heat_map_score.h"

using namespace dura;
using Catch::Matchers::Contains;

namespace {

Image rectangle(int64_t side, int64_t row, int64_t column, int64_t height, int64_t width, uint8_t value = 255) {
  Image image(side, side, 1);
  for (int64_t r = row; r < row + height; ++r) std::fill_n(image.row(r) + column, width, value);
  return image;
}

// A map of side x side with one cell that is not zero.
HeatMap point_map(int64_t side, int64_t row, int64_t column, float value = 1) {
  HeatMap map{side, side, std::vector<float>(static_cast<size_t>(side * side))};
  map.values[static_cast<size_t>(row * side + column)] = value;
  return map;
}

}  // namespace

TEST_CASE("the binomial tail agrees with exact values", "[apps][heat_maps]") {
  CHECK(binomial_tail(10, 0, 0.3) == 1);
  CHECK(binomial_tail(10, 11, 0.3) == 0);
  CHECK(binomial_tail(10, 1, 0) == 0);
  CHECK(binomial_tail(10, 10, 1) == 1);
  CHECK(binomial_tail(1, 1, 0.25) == Approx(0.25).epsilon(1e-12));
  CHECK(binomial_tail(10, 5, 0.5) == Approx(638.0 / 1024).epsilon(1e-12));
  CHECK(binomial_tail(10, 10, 0.5) == Approx(1.0 / 1024).epsilon(1e-12));
  CHECK(binomial_tail(4, 2, 1.0 / 3) == Approx(33.0 / 81).epsilon(1e-12));
  CHECK(binomial_tail(1000, 1000, 0.1) == 0);                                                   // 1e-1000 is below the smallest number
  CHECK(binomial_tail(200, 100, 0.5) == Approx(0.5 + 0.05634847900925642 / 2).epsilon(1e-10));  // by symmetry, with the middle term
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
  const Image region = rectangle(48, 8, 8, 32, 32);
  const Pixel brightest = brightest_smoothed(gray, region);
  CHECK(brightest.row == 22);
  CHECK(brightest.column == 32);
}

TEST_CASE("a map hits when its highest point is in the lesion", "[apps][heat_maps]") {
  const Image gray = rectangle(64, 0, 0, 64, 64, 100), region = rectangle(64, 0, 0, 64, 64);
  const Image lesion = rectangle(64, 8, 40, 16, 16);
  const PointingRecord hit = score_pointing(gray, lesion, region, point_map(8, 1, 5), point_map(8, 6, 1));
  CHECK(hit.network);
  CHECK(!hit.random_network);
  CHECK(!hit.centre);
  CHECK(hit.lesion_share == 256.0 / 4096);
  CHECK(hit.energy > 0.4);
  CHECK(hit.overlap > 0.1);
  const PointingRecord miss = score_pointing(gray, lesion, region, point_map(8, 6, 1), point_map(8, 1, 5));
  CHECK(!miss.network);
  CHECK(miss.random_network);
  CHECK(miss.energy == 0);
  CHECK(miss.overlap == 0);
  // Rows and columns are not exchanged.
  CHECK(!score_pointing(gray, lesion, region, point_map(8, 5, 1), point_map(8, 1, 5)).network);
  const PointingRecord middle = score_pointing(gray, rectangle(64, 24, 24, 16, 16), region, point_map(8, 0, 0), point_map(8, 0, 0));
  CHECK(middle.centre);
  CHECK(!middle.network);

  HeatMap exact{64, 64, {}};
  for (uint8_t v : lesion.pixels) exact.values.push_back(v ? 3.0f : 0.0f);
  const PointingRecord perfect = score_pointing(gray, lesion, region, exact, exact);
  CHECK(perfect.energy == 1);
  CHECK(perfect.overlap == 1);
}

TEST_CASE("a map without evidence hits nothing, even where the lesion holds its first pixel", "[apps][heat_maps]") {
  const Image gray = rectangle(32, 0, 0, 32, 32, 100), lesion = rectangle(32, 0, 0, 8, 8);
  const HeatMap zero{8, 8, std::vector<float>(64)};
  const PointingRecord r = score_pointing(gray, lesion, gray, zero, zero);
  CHECK(!r.network);
  CHECK(!r.random_network);
  CHECK(r.energy == 0);
  CHECK(r.overlap == 0);
  CHECK(r.lesion_share == 64.0 / 1024);
  CHECK_THROWS_WITH(score_pointing(gray, Image(16, 32, 1), gray, zero, zero), Contains("its mask 16x32"));
}

TEST_CASE("a lesion that sticks out of the head widens the region, so that a share is at most 1", "[apps][heat_maps]") {
  const Image gray = rectangle(32, 0, 0, 32, 32, 100);
  const HeatMap map = point_map(8, 0, 0);
  CHECK(score_pointing(gray, rectangle(32, 0, 0, 8, 8), rectangle(32, 16, 16, 8, 8), map, map).lesion_share == 0.5);
  CHECK(score_pointing(gray, Image(32, 32, 1), Image(32, 32, 1), map, map).lesion_share == 0);
}

TEST_CASE("the summary counts hits and gives the chance of so many", "[apps][heat_maps]") {
  std::vector<PointingRecord> records(20, {.lesion_share = 0.05, .centre = false, .energy = 0.25, .overlap = 0.5});
  for (size_t i = 0; i < 8; ++i) records[i].network = true;
  records[0].centre = records[1].brightest = records[2].random_network = records[3].random_network = true;
  const PointingSummary s = summarise(records);
  CHECK(s.pictures == 20);
  CHECK(s.network == 0.4);
  CHECK(s.centre == 0.05);
  CHECK(s.brightest == 0.05);
  CHECK(s.random_network == 0.1);
  CHECK(s.lesion_share == Approx(0.05));
  CHECK(s.energy == Approx(0.25));
  CHECK(s.overlap == Approx(0.5));
  CHECK(s.p_value == Approx(binomial_tail(20, 8, 0.05)));
  CHECK(s.p_value < 1e-5);
  CHECK_THAT(s.text(), Contains("on 20 pictures") && Contains("0.400 (8.0x its share 0.050") && !Contains("\n"));
  CHECK(summarise({}).pictures == 0);
  CHECK(summarise({}).p_value == 1);
}
