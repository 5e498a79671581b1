// Overlays and the page of heat maps: cells land where they were in the picture, whatever its shape, and captions say what is not shown.
#include "tests/support/catch.h"

#include <filesystem>

#include "apps/report/heat_map_page.h"
#include "data/image/codec.h"
#include "data/image/resize.h"
#include "engine/base/file.h"
#include "tests/support/heat_map_pictures.h"
#include "tests/support/temporary_folder.h"
#include "weights/safetensors.h"

using namespace dura;
using namespace dura::test;
using Catch::Contains;

namespace {

HeatMapPicture picture(int64_t height, int64_t width, const HeatMap& map) {
  return {.file = "a/slice.png",
          .label = "Glioma",
          .predicted = "Menin",
          .explained = "Menin",
          .probability = 0.875,
          .original = Image(height, width, 1, 90),
          .mask = {},
          .map = map};
}

int red_over_blue(const Image& image, int64_t row, int64_t column) { return image.at(row, column, 0) - image.at(row, column, 2); }

}  // namespace

TEST_CASE("in pictures that are not square a cell covers the same share of the picture as it did of the network's input",
          "[apps][heat_maps]") {
  for (const auto& [height, width] : {std::pair<int64_t, int64_t>{60, 180}, {180, 60}, {97, 131}}) {
    CAPTURE(height, width);
    // What the network sees of a picture with one bright cell of a 6x6 grid, and a map that marks that cell.
    Image original(height, width, 1);
    for (int64_t r = height / 6; r < height * 2 / 6; ++r) std::fill_n(original.row(r) + width * 4 / 6, width / 6, uint8_t{255});
    const Image seen = resize_bilinear(original, 96, 96);
    CHECK(seen.at(24, 72) == 255);
    CHECK(seen.at(72, 24) == 0);
    const HeatMap map = point_map(6, 1, 4);
    CHECK(peak_of(map, 96, 96).row == 24);
    CHECK(peak_of(map, 96, 96).column == 72);
    const Pixel there = peak_of(map, height, width);
    CHECK(original.at(there.row, there.column) == 255);
    const Image hot = overlay(Image(height, width, 1), map);
    CHECK(red_over_blue(hot, there.row, there.column) > 40);
    CHECK(red_over_blue(hot, height * 4 / 6, width / 6) < 0);
    CHECK(red_over_blue(hot, there.column * height / width, there.row * width / height) < 0);
  }
}

TEST_CASE("a picture is drawn beside its overlay with outline, cross, scale and legend", "[apps][heat_maps]") {
  HeatMapPicture p = picture(64, 80, point_map(8, 2, 5));
  p.mask = Image(64, 80, 1);
  for (int64_t r = 40; r < 50; ++r) std::fill_n(p.mask.row(r) + 10, 10, uint8_t{255});
  CHECK(p.caption() == "Menin 0.88, wrong: is Glioma");
  const Image drawn = draw(p);
  const int64_t top = drawn.height - 64, left = 80 + 4;  // below the caption, beside the slice
  CHECK(drawn.at(top + 40, left + 15, 0) == 255);        // the outline
  CHECK(drawn.at(top + 40, left + 15, 2) == 255);
  CHECK(drawn.at(top + 45, left + 15, 2) != 255);  // not its inside
  CHECK(drawn.at(top + 20, left + 55, 2) == 255);  // the cross
  CHECK(drawn.at(top + 20, 55, 0) == 90);          // nothing is drawn into the slice itself
  CHECK(drawn.width > 2 * 80 + 20);                // the scale
  const Image small = draw(p, 32);
  CHECK(small.width < drawn.width - 60);
  CHECK(small.at(small.height - 32, 0, 0) == 90);  // the slice begins below lines of caption, more than before: no word is lost
  CHECK((small.height - 32) % 10 == 3);
  CHECK(small.height - 32 > drawn.height - 64);
}

TEST_CASE("captions say what is not there, and what cannot be drawn is left out", "[apps][heat_maps]") {
  const HeatMap none{8, 8, std::vector<float>(64)};
  HeatMapPicture p = picture(64, 64, none);
  p.explained = "Glioma";
  CHECK_THAT(p.caption(), Contains("map for Glioma") && Contains("no positive evidence"));
  p.mask = Image(32, 64, 1, 255);
  CHECK_THAT(p.caption(), Contains("mask has another extent"));
  const Image drawn = draw(p);
  for (int64_t r = 0; r < 64; ++r)
    for (int64_t c = 0; c < 64; ++c) REQUIRE(drawn.at(drawn.height - 64 + r, 68 + c, 0) == 90);  // no colour, no line, no cross
  p.label = "";
  CHECK_THAT(p.caption(), !Contains("wrong") && !Contains("right"));
  p.label = p.predicted;
  CHECK_THAT(p.caption(), Contains("Menin 0.88, right"));
}

TEST_CASE("the page's folder holds raw maps, overlays, a sheet and sections in order", "[apps][heat_maps]") {
  const TemporaryFolder out;
  const std::string folder = out / "maps";
  HeatMapPage page(folder);
  const HeatMap none{8, 8, std::vector<float>(64)};
  page.add_map("a/slice.png", point_map(8, 2, 5, 0.25f));
  page.add_map("b.png", none);
  page.add_picture("Wrong <answers>", picture(300, 64, point_map(8, 2, 5)));
  HeatMapPicture right = picture(64, 64, none);
  right.file = "b.png";
  page.add_picture("Right answers", right);
  page.finish();
  const StateDict raw = read_safetensors(folder + "/maps.safetensors");
  CHECK(raw.at("a/slice.png").value(2 * 8 + 5) == 0.25);
  CHECK(raw.at("b.png").dimensions() == Dimensions{8, 8});
  CHECK(read_image(folder + "/a_slice.png.png").height == 300 + 23);  // in the picture's own extent, below two lines of caption
  CHECK(std::filesystem::exists(folder + "/b.png.png"));
  CHECK(std::filesystem::exists(folder + "/sheet.png"));
  const std::string text = read_text_file(folder + "/index.html", 1 << 22);
  CHECK(text.find("Wrong &lt;answers&gt;") < text.find("Right answers"));
  CHECK_THAT(text, Contains("2 maps, 1 without positive evidence") && Contains("Not a medical device"));
}
