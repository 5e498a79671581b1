// Plots, pages and heat-map pictures: numbers that land where they should, texts that cannot become markup.
#include "tests/support/catch.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "data/image/drawing.h"
#include "apps/report/html.h"
#include "models/explain/overlay.h"
#include "apps/report/svg.h"
#include "data/image/codec.h"
#include "engine/base/file.h"
#include "tests/support/temporary_folder.h"

using namespace dura;

namespace {

constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();
const std::string hostile = "<script>alert('x')</script> & \"quotes\"";

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++found;
  return found;
}

// "" where every tag closes in order, else what went wrong. Knows HTML's elements that never close.
std::string tag_error(const std::string& markup) {
  static const std::set<std::string> never_closed = {"meta", "img", "!DOCTYPE"};
  std::vector<std::string> open;
  for (size_t at = markup.find('<'); at != std::string::npos; at = markup.find('<', at + 1)) {
    const size_t end = markup.find('>', at);
    if (end == std::string::npos) return "a tag does not end";
    const std::string tag = markup.substr(at + 1, end - at - 1);
    const std::string name = tag.substr(0, tag.find_first_of(" /", 1));
    if (tag.find('<') != std::string::npos) return "a < inside of tag " + tag;
    if (tag[0] == '/') {
      if (open.empty() || "/" + open.back() != tag) return "unexpected </" + tag;
      open.pop_back();
    } else if (tag.back() != '/' && never_closed.count(name) == 0) {
      open.push_back(name);
    }
    at = end;
  }
  return open.empty() ? "" : "<" + open.back() + "> stays open";
}

// The values of one attribute of all elements of a kind.
std::vector<double> attributes(const std::string& svg, const std::string& element, const std::string& attribute) {
  std::vector<double> values;
  for (size_t at = svg.find("<" + element + " "); at != std::string::npos; at = svg.find("<" + element + " ", at + 1)) {
    const size_t value = svg.find(" " + attribute + "=\"", at);
    if (value < svg.find('>', at)) values.push_back(std::stod(svg.substr(value + attribute.size() + 3)));
  }
  return values;
}

Image disk(int64_t side, double radius) {
  Image image(side, side, 1);
  for (int64_t y = 0; y < side; ++y)
    for (int64_t x = 0; x < side; ++x)
      if (std::hypot(static_cast<double>(y - side / 2), static_cast<double>(x - side / 2)) < radius) image.at(y, x) = 255;
  return image;
}

}  // namespace

TEST_CASE("ticks are round, inside the axis and about as many as asked for", "[report]") {
  CHECK(nice_ticks(0, 1, 5) == std::vector<double>{0, 0.2, 0.4, 0.6000000000000001, 0.8, 1});
  CHECK(nice_ticks(-3, 12, 5) == std::vector<double>{0, 5, 10});
  CHECK(nice_ticks(1, 3, 8, 1) == std::vector<double>{1, 2, 3});
  CHECK(nice_ticks(0, 1426, 5).back() == 1000);
  for (const double high : {1e-9, 0.37, 7.0, 123456.0, 3e12}) {
    const std::vector<double> ticks = nice_ticks(0, high, 5);
    CHECK(ticks.size() >= 2);
    CHECK(ticks.size() <= 7);
    CHECK(ticks.back() <= high * (1 + 1e-9));
  }
  CHECK_THROWS(nice_ticks(1, 1, 5));
  CHECK_THROWS(nice_ticks(0, nan_value, 5));
  CHECK(tick_text(0.6000000000000001, 0.2) == "0.6");
  CHECK(tick_text(1500, 500) == "1500");
  CHECK(tick_text(0.25, 0.05) == "0.25");
  CHECK(tick_text(2e-5, 1e-5) == "2e-05");
}

TEST_CASE("a line plot puts values in proportion and leaves gaps where there are none", "[report]") {
  const std::string svg = svg_line_plot(
      {.title = "t", .x_label = "x", .y_label = "y", .series = {{"a", {0, 1, 2, 3, 4}, {0, 1, nan_value, 3, 4}}}, .y_min = 0, .y_max = 4});
  CHECK(tag_error(svg).empty());
  const std::vector<double> y = attributes(svg, "circle", "cy"), x = attributes(svg, "circle", "cx");
  REQUIRE(y.size() == 4);
  CHECK(y[0] - y[1] == Approx((y[0] - y[3]) / 4).margin(0.02));
  CHECK(x[1] - x[0] == Approx((x[3] - x[0]) / 4).margin(0.02));
  CHECK(y[3] < y[0]);                    // up is more
  CHECK(count(svg, "<polyline ") == 2);  // before and after the gap
  CHECK_FALSE(contains(svg, "nan"));
}

TEST_CASE("plots of nothing, of one value and of equal values are still plots", "[report]") {
  for (const LineSeries& s : {LineSeries{"none"}, LineSeries{"one", {3}, {5}}, LineSeries{"equal", {1, 2}, {0, 0}},
                              LineSeries{"nan", {1, 2}, {nan_value, nan_value}}, LineSeries{"huge", {1, 2}, {1e300, 2e300}}}) {
    const std::string svg = svg_line_plot({.title = "t", .x_label = "x", .y_label = "y", .series = {s}});
    CHECK(tag_error(svg).empty());
    CHECK_FALSE(contains(svg, "nan"));
    CHECK_FALSE(contains(svg, "inf"));
    CHECK(contains(svg, "no data") == (s.name == "none" || s.name == "nan"));
  }
  CHECK(contains(svg_bar_plot({.title = "t", .y_label = "y", .groups = {"a"}, .series = {{"s", {nan_value}}}}), "no data"));
  CHECK_THROWS(svg_line_plot({.title = "t", .x_label = "x", .y_label = "y", .series = {{"s", {1, 2}, {1}}}}));
  CHECK_THROWS(svg_bar_plot({.title = "t", .y_label = "y", .groups = {"a"}, .series = {{"s", {-1}}}}));
}

TEST_CASE("bars are in proportion, with intervals where they are known", "[report]") {
  const std::string svg = svg_bar_plot({.title = "t",
                                        .y_label = "y",
                                        .groups = {"Menin", "Glioma"},
                                        .series = {{"before", {1, 2}, {0.5, 1.5}, {1.5, 2.5}}, {"after", {4, nan_value}}}});
  CHECK(tag_error(svg).empty());
  const std::vector<double> heights = attributes(svg, "rect", "height");  // the background's is in percent
  REQUIRE(heights.size() == 4);
  CHECK(heights[2] / heights[1] == Approx(4).epsilon(1e-3));
  CHECK(heights[3] / heights[1] == Approx(2).epsilon(1e-3));
  CHECK(count(svg, "stroke-width=\"1.4\"") == 6);
  CHECK(contains(svg, ">Glioma</text>"));
}

TEST_CASE("no text from outside becomes markup", "[report]") {
  const std::string line = svg_line_plot(
      {.title = hostile, .x_label = hostile, .y_label = hostile, .series = {{hostile, {1, 2}, {1, 2}}, {"b"}}, .marks = {{1.5, hostile}}});
  const std::string bars =
      svg_bar_plot({.title = hostile, .y_label = hostile, .groups = {hostile}, .series = {{hostile, {1}}, {"b", {2}}}});
  HtmlPage page(hostile);
  page.section(hostile);
  page.paragraph(hostile);
  page.note(hostile);
  page.preformatted(hostile);
  page.table({{hostile, "n"}, {hostile, "0.5"}}, hostile);
  page.svg(line, hostile);
  page.gallery({{Image(4, 4, 1), hostile}});
  for (const std::string& markup : {line, bars, page.text()}) {
    CHECK(tag_error(markup).empty());
    CHECK_FALSE(contains(markup, "<script"));
    CHECK_FALSE(contains(markup, "alert('"));
  }
  CHECK(escape_markup(std::string("a\0b\x1b", 4)) == "a b ");
  // The checker itself sees what it is there for.
  CHECK_FALSE(tag_error("<p><b></p></b>").empty());
  CHECK_FALSE(tag_error("<p>").empty());
}

TEST_CASE("a page needs nothing from elsewhere and aligns numbers", "[report]") {
  const TemporaryFolder folder;
  HtmlPage page("Report");
  page.table({{"class", "F1"}, {"Menin", "0.91"}, {"Glioma", "NA"}});
  page.gallery({{disk(16, 5), "a disk"}});
  page.table({{"no", "rows"}});
  CHECK_FALSE(contains(page.text(), "rows"));
  CHECK_THROWS(page.table({{"a", "b"}, {"1"}}));
  page.write(folder / "report.html");
  const std::string text = read_text_file(folder / "report.html", 1 << 20);
  CHECK(text == page.text());
  CHECK(contains(text, "<td class=\"number\">0.91</td>"));
  CHECK(contains(text, "<td class=\"short\">NA</td>"));
  CHECK(contains(text, "default-src 'none'"));
  CHECK(count(text, "http") == 1);  // http-equiv: no address
  // The picture in the page is the picture that was given.
  CHECK(contains(text, base64(encode_png(disk(16, 5)))));
}

TEST_CASE("base64 is that of RFC 4648", "[report]") {
  const auto of = [](const std::string& s) { return base64(std::span(reinterpret_cast<const uint8_t*>(s.data()), s.size())); };
  CHECK(of("") == "");
  CHECK(of("f") == "Zg==");
  CHECK(of("fo") == "Zm8=");
  CHECK(of("foo") == "Zm9v");
  CHECK(of("foobar") == "Zm9vYmFy");
  CHECK(of("\xff\xfe\xfd") == "//79");
}

TEST_CASE("red is high in every heat map", "[report]") {
  CHECK(jet(0) == Color{0, 0, 128});
  CHECK(jet(1) == Color{128, 0, 0});
  CHECK(jet(0.5) == Color{128, 255, 128});
  CHECK(jet(-3) == jet(0));
  CHECK(jet(7) == jet(1));
  CHECK(jet(nan_value) == jet(0));
  // OpenCV's COLORMAP_JET at 64, 128 and 192, within one level.
  const int expected[3][3] = {{0, 128, 255}, {130, 255, 126}, {255, 124, 0}};
  for (int i = 0; i < 3; ++i) {
    const Color c = jet(64 * (i + 1) / 255.0);
    CHECK(std::abs(c.red - expected[i][0]) <= 1);
    CHECK(std::abs(c.green - expected[i][1]) <= 1);
    CHECK(std::abs(c.blue - expected[i][2]) <= 1);
  }
  const Image bar = color_bar(100);
  const int64_t middle = bar.width / 2;
  CHECK(bar.at(20, middle, 0) > bar.at(20, middle, 2));  // top: red
  CHECK(bar.at(80, middle, 2) > bar.at(80, middle, 0));  // bottom: blue
  CHECK(color_bar(8).height == 8);
}

TEST_CASE("heat maps are enlarged as OpenCV does", "[report]") {
  const HeatMap map{2, 3, {0, 1, 2, 3, 5, 8}};
  // cv2.resize(a, (7, 5), interpolation=cv2.INTER_LINEAR)
  const std::vector<float> expected = {0.f,        0.14285715f, 0.5714286f,  1.f,  1.4285715f, 1.8571429f, 2.f,
                                       0.3f,       0.4571429f,  0.92857146f, 1.4f, 1.9142857f, 2.4285715f, 2.6f,
                                       1.5f,       1.7142859f,  2.357143f,   3.f,  3.8571427f, 4.714286f,  5.f,
                                       2.6999998f, 2.9714286f,  3.7857141f,  4.6f, 5.7999997f, 7.f,        7.3999996f,
                                       3.f,        3.2857144f,  4.142857f,   5.f,  6.285714f,  7.571429f,  8.f};
  const HeatMap larger = resize(map, 5, 7);
  REQUIRE(larger.values.size() == expected.size());
  for (size_t i = 0; i < expected.size(); ++i) CHECK(larger.values[i] == Approx(expected[i]).margin(1e-6));
  CHECK(resize(map, 2, 3).values == map.values);
  CHECK_THROWS(resize(HeatMap{2, 3, {1}}, 4, 4));
}

TEST_CASE("a map whose cells have places of their own is enlarged around them, and its peak lies there", "[report]") {
  // Cells on columns 0 and 4 of 8: their middles are 1/16 and 9/16 of the side.
  const HeatMap map{1, 2, {4, 8}, {}, {.first = 1.0 / 16, .step = 0.5}};
  const std::vector<float> expected = {4, 5, 6, 7, 8, 8, 8, 8};
  CHECK(resize(map, 1, 8).values == expected);
  CHECK(peak_of(map, 1, 8).column == 4);
  CHECK(peak_of({1, 2, {4, 8}}, 1, 8).column == 6);
  CHECK(resize(map, 1, 16).values[9] == 8);  // 9.5 of 16 pixels is behind the last middle, 9 of 16
}

TEST_CASE("a map enlarged by a cubic is Keys', and peaks between two high cells", "[report]") {
  // By numpy from Keys' formula, edges repeated, below 0 cut off. Other tools' cubics (OpenCV, PyTorch) have a = -0.75 and differ.
  const std::vector<float> expected = {0.f,        0.f,       0.2654504f, 0.706f,    1.121478f, 1.48255f,  1.621172f, 0.114449f, 0.2876035f,
                                       0.7396851f, 1.256f,    1.794146f,  2.281493f, 2.466216f, 1.390671f, 1.631195f, 2.24344f,  3.f,
                                       3.927114f,  4.814869f, 5.145773f,  2.666892f, 2.974787f, 3.747195f, 4.744f,    6.060082f, 7.348245f,
                                       7.825329f,  3.06937f,  3.398512f,  4.22143f,  5.294f,    6.732749f, 8.147188f, 8.670373f};
  HeatMap map{2, 3, {0, 1, 2, 3, 5, 8}};
  map.enlarging = Enlarging::cubic;
  const HeatMap larger = resize(map, 5, 7);
  REQUIRE(larger.values.size() == expected.size());
  for (size_t i = 0; i < expected.size(); ++i) CHECK(larger.values[i] == Approx(expected[i]).margin(1e-6));
  CHECK(resize(map, 2, 3).values == map.values);

  HeatMap ridge{1, 5, {0, 0.2f, 1, 1, 0}};
  CHECK(peak_of(ridge, 1, 50).column == 25);  // the middle of the third cell
  ridge.enlarging = Enlarging::cubic;
  const Pixel peak = peak_of(ridge, 1, 50);
  CHECK((peak.column == 29 || peak.column == 30));
  const std::vector<float> values = resize(ridge, 1, 50).values;
  CHECK(*std::max_element(values.begin(), values.end()) > 1);
  CHECK(*std::min_element(values.begin(), values.end()) == 0);
  CHECK(values[static_cast<size_t>(peak.column)] == *std::max_element(values.begin(), values.end()));
}

TEST_CASE("a cross marks its pixel and stays inside of the picture", "[report]") {
  Image picture(30, 40, 3, 128);
  draw_cross(picture, {.row = 15, .column = 20});
  for (int64_t c = 0; c < 3; ++c) {
    CHECK(picture.at(15, 20, c) == 255);
    CHECK(picture.at(10, 20, c) == 255);
    CHECK(picture.at(15, 25, c) == 255);
    CHECK(picture.at(14, 19, c) == 0);
    CHECK(picture.at(9, 20, c) == 0);
    CHECK(picture.at(8, 20, c) == 128);
    CHECK(picture.at(12, 17, c) == 128);
  }
  draw_cross(picture, {.row = 0, .column = 39});
  CHECK(picture.at(0, 39, 0) == 255);
  CHECK_THROWS(draw_cross(picture = Image(4, 4, 1), {}));
}

TEST_CASE("an overlay has jet's colours, the places of the map's cells and the opacity asked for", "[report]") {
  HeatMap map{3, 4, {-2, 0.5f, 1, 3, 0, 2.5f, -1, 0.25f, 1.5f, 2, 0.75f, -0.5f}};
  for (const bool by_field : {false, true}) {
    if (by_field) map.rows = {.first = 0.1, .step = 0.4}, map.columns = {.first = -0.05, .step = 0.3};
    const CellMiddles rows = by_field ? map.rows : CellMiddles{1 / 6.0, 1 / 3.0},
                      columns = by_field ? map.columns : CellMiddles{0.125, 0.25};
    const auto cell = [&](int64_t r, int64_t c) {
      return (map.values[static_cast<size_t>(std::clamp<int64_t>(r, 0, 2) * 4 + std::clamp<int64_t>(c, 0, 3))] + 2.0) / 5;
    };
    for (const int64_t channels : {1, 3}) {
      Image picture(11, 9, channels);
      for (size_t i = 0; i < picture.pixels.size(); ++i) picture.pixels[i] = static_cast<uint8_t>(i * 37);
      const Image shown = overlay(picture, map, 0.4), plain = to_rgb(picture);
      for (int64_t i = 0; i < 11; ++i)
        for (int64_t j = 0; j < 9; ++j) {
          const double y = ((static_cast<double>(i) + 0.5) / 11 - rows.first) / rows.step,
                       x = ((static_cast<double>(j) + 0.5) / 9 - columns.first) / columns.step, dy = y - std::floor(y),
                       dx = x - std::floor(x);
          const auto r = static_cast<int64_t>(std::floor(y)), c = static_cast<int64_t>(std::floor(x));
          const double v =
              (1 - dy) * ((1 - dx) * cell(r, c) + dx * cell(r, c + 1)) + dy * ((1 - dx) * cell(r + 1, c) + dx * cell(r + 1, c + 1));
          // Colours are rounded before they are mixed, and once more after.
          for (int64_t k = 0; k < 3; ++k) {
            const double color = 255 * std::clamp(1.5 - std::abs(4 * v - static_cast<double>(3 - k)), 0.0, 1.0);
            CHECK(std::abs(shown.at(i, j, k) - (0.4 * color + 0.6 * plain.at(i, j, k))) <= 0.5 + 0.4 * 0.5 + 1e-3);
          }
        }
    }
  }
}

TEST_CASE("an overlay is warm where the map is high and plain where there is no evidence", "[report]") {
  const Image slice(32, 32, 1, 100);
  HeatMap map{2, 2, {0, 0, 0, 0.3f}};
  const Image shown = overlay(slice, map);
  CHECK(shown.channels == 3);
  CHECK(shown.at(31, 31, 0) == (100 + 128) / 2);  // half dark red
  CHECK(shown.at(31, 31, 2) == 50);
  CHECK(shown.at(0, 0, 2) == (100 + 128) / 2);
  CHECK(shown.at(0, 0, 0) == 50);
  const HeatMap none{2, 2, {0, 0, 0, 0}}, negative{2, 2, {-1, -2, -3, 0}};
  CHECK_FALSE(none.has_evidence());
  CHECK(overlay(slice, none) == to_rgb(slice));
  CHECK(overlay(slice, negative) == to_rgb(slice));
  CHECK_THROWS(overlay(slice, HeatMap{1, 2, {1, std::numeric_limits<float>::infinity()}}));
  const HeatMap scaled = normalise({1, 3, {2, 4, 6}});
  CHECK(scaled.values[0] == 0);
  CHECK(scaled.values[1] == Approx(0.5));
  CHECK(scaled.values[2] == Approx(1));
}

TEST_CASE("an outline is the rim of the mask and nothing else", "[report]") {
  Image picture(5, 5, 3), mask(5, 5, 1);
  for (int64_t y = 1; y <= 3; ++y)
    for (int64_t x = 1; x <= 4; ++x) mask.at(y, x) = 255;
  draw_outline(picture, mask, {255, 255, 0});
  int64_t drawn = 0;
  for (int64_t y = 0; y < 5; ++y)
    for (int64_t x = 0; x < 5; ++x) drawn += picture.at(y, x, 0) == 255;
  CHECK(drawn == 10);  // 12 pixels less the two inner ones: the right side touches the picture's border
  CHECK(picture.at(2, 2, 0) == 0);
  CHECK(picture.at(2, 4, 0) == 255);
  CHECK_THROWS(draw_outline(picture, Image(4, 5, 1), {}));
  Image gray(5, 5, 1);
  CHECK_THROWS(draw_outline(gray, mask, {}));
}

TEST_CASE("pictures are put together without losing a pixel", "[report]") {
  const Image a(4, 6, 1, 10), b(8, 2, 3, 20);
  const Image row = beside({a, b}, 3);
  CHECK(row.height == 8);
  CHECK(row.width == 11);
  CHECK(row.at(3, 5, 1) == 10);
  CHECK(row.at(5, 0, 1) == 255);
  CHECK(row.at(7, 10, 2) == 20);
  const Image page = sheet({a, a, a}, 2, 1);
  CHECK(page.height == 2 * 5 + 1);
  CHECK(page.width == 2 * 7 + 1);
  CHECK(page.at(6, 1, 0) == 10);
  CHECK(page.at(6, 9, 0) == 255);
  const Image titled = with_caption(a, "x");
  CHECK(titled.height == a.height + pixel_text_height + 6);
  // Two lines, with a word in each; one that is wider than the picture stands alone.
  const Image wide(4, pixel_text_width("two words") + 5, 1, 10), whole = with_whole_caption(wide, "two words");
  CHECK(whole.height == wide.height + 2 * (pixel_text_height + 3) + 3);
  CHECK(whole.at(whole.height - 1, 0, 0) == 10);
  const auto ink = [&](int64_t line) {
    int64_t dark = 0;
    for (int64_t y = 0; y < pixel_text_height; ++y)
      for (int64_t x = 0; x < whole.width; ++x) dark += whole.at(3 + line * (pixel_text_height + 3) + y, x, 0) == 0;
    return dark;
  };
  CHECK(ink(0) > 10);
  CHECK(ink(1) > 10);
  CHECK(with_whole_caption(a, "wider than that").height == a.height + 3 * (pixel_text_height + 3) + 3);
  CHECK(with_whole_caption(Image(4, pixel_text_width("two words") + 6, 1, 10), "two words").height == with_caption(wide, "x").height);
  CHECK_THROWS(sheet({}, 2));
}

TEST_CASE("every character of a caption has a form of its own", "[report]") {
  std::set<std::string> forms;
  const std::string characters = " ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:-_/%()=><+!?{";
  for (const char c : characters) {
    Image cell(7, 5, 3, 255);
    draw_text(cell, 0, 0, std::string(1, c), {});
    forms.insert(std::string(cell.pixels.begin(), cell.pixels.end()));
  }
  CHECK(forms.size() == characters.size());
  Image small(7, 5, 3, 255), large = small;
  draw_text(small, 0, 0, "g", {});
  draw_text(large, 0, 0, "G", {});
  CHECK(small == large);
  draw_text(small, -3, -2, "cut at the border", {});  // no write outside
  CHECK(pixel_text_width("ab") == 11);
  CHECK(pixel_text_width("") == 0);
}
