#include "tests/support/catch.h"
#include "tests/support/folders.h"

#include <algorithm>
#include <cstdlib>
#include <thread>

#include "data/image/codec.h"
#include "data/image/resize.h"
#include "engine/base/crc32.h"
#include "engine/base/file.h"
#include "engine/base/random.h"
#include "tests/support/picture_formula.h"
#include "tests/support/png_checksums.h"
#include "tests/support/temporary_folder.h"

using namespace dura;
using test::picture;

namespace {

std::string sample(const std::string& name) { return source_folder() + "/tests/golden/images/" + name; }

std::vector<uint8_t> sample_bytes(const std::string& name) { return read_file(sample(name), 1 << 20); }

std::string error_of(const std::vector<uint8_t>& bytes, const DecodeOptions& options = {}) {
  try {
    decode_image(bytes, "x.png", options);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

// A PNG header chunk that claims these extents, with a right checksum.
std::vector<uint8_t> with_extents(std::vector<uint8_t> png, uint32_t width, uint32_t height) {
  for (int i = 0; i < 4; ++i)
    png[16 + i] = static_cast<uint8_t>(width >> (24 - 8 * i)), png[20 + i] = static_cast<uint8_t>(height >> (24 - 8 * i));
  const uint32_t crc = crc32(&png[12], 17);
  for (int i = 0; i < 4; ++i) png[29 + i] = static_cast<uint8_t>(crc >> (24 - 8 * i));
  return png;
}

int largest_difference(const Image& image, const std::vector<uint8_t>& expected) {
  REQUIRE(image.pixels.size() == expected.size());
  int largest = 0;
  for (size_t i = 0; i < expected.size(); ++i) largest = std::max(largest, std::abs(image.pixels[i] - expected[i]));
  return largest;
}

}  // namespace

TEST_CASE("PNG files of every kind decode to the pixels that were stored", "[data][image]") {
  CHECK(read_image(sample("gray.png")) == picture(24, 31, 1));
  CHECK(read_image(sample("rgb.png")) == picture(24, 31, 3));
  CHECK(read_image(sample("rgba.png")) == picture(24, 31, 3));
  CHECK(read_image(sample("gray_alpha.png")) == picture(24, 31, 1));

  Image mask = picture(24, 31, 1), steps(24, 31, 3), stretched = picture(24, 31, 1);
  for (uint8_t& p : mask.pixels) p = p > 127 ? 255 : 0;
  CHECK(read_image(sample("mask_1bit.png")) == mask);
  CHECK(read_mask(sample("mask_1bit.png")) == mask);
  CHECK(read_mask(sample("mask_zero_one.png")) == mask);
  CHECK(read_mask(sample("mask.jpg")) == mask);

  for (size_t i = 0; i < stretched.pixels.size(); ++i) {
    const int level = stretched.pixels[i] / 16;
    const int rgb[3] = {level * 16, 255 - level * 16, level * 8};
    for (int c = 0; c < 3; ++c) steps.pixels[3 * i + c] = static_cast<uint8_t>(rgb[c]);
  }
  CHECK(read_image(sample("palette.png")) == steps);

  // gray16.png holds 300 + 5 * value: the stretch must give back the value's place between the smallest and the largest.
  const auto [low, high] = std::minmax_element(stretched.pixels.begin(), stretched.pixels.end());
  const double offset = *low, range = *high - *low;
  for (uint8_t& p : stretched.pixels) p = static_cast<uint8_t>((p - offset) * 255.0 / range + 0.5);
  CHECK(largest_difference(read_image(sample("gray16.png")), stretched.pixels) <= 1);
}

TEST_CASE("JPEG files decode to the grey levels of libjpeg-turbo, every one", "[data][image]") {
  for (const std::string& line : test::golden_lines("images.txt")) {
    std::istringstream in(line);
    std::string name, hex;
    int64_t height, width, channels;
    in >> name >> height >> width >> channels >> hex;
    CAPTURE(name);
    const Image image = read_image(sample(name));
    CHECK((image.height == height && image.width == width && image.channels == channels));
    CHECK(largest_difference(image, test::from_hex(hex)) == 0);
  }
}

TEST_CASE("the first thing that a thread decodes may be a JPEG", "[data][image]") {
  Image image;
  std::thread([&] { image = read_image(sample("gray.jpg")); }).join();
  CHECK(image == read_image(sample("gray.jpg")));
}

TEST_CASE("what a picture is, is decided by its content and not by its name", "[data][image]") {
  const TemporaryFolder folder;
  write_png(folder / "slice.jpg", picture(24, 31, 3));
  CHECK(read_image(folder / "slice.jpg") == picture(24, 31, 3));
  CHECK(probe_image(sample_bytes("gray.jpg"), "x.png").format == ImageFormat::jpeg);
}

TEST_CASE("encoded PNG files decode to the same pixels", "[data][image]") {
  for (const Image& image : {picture(24, 31, 1), picture(17, 5, 3), Image(1, 1, 1, 7)})
    CHECK(decode_image(encode_png(image), "x") == image);
}

TEST_CASE("a file cut off at any byte is an error that says so", "[data][image]") {
  for (const char* name : {"gray.png", "rgb.png", "mask_1bit.png", "gray.jpg", "rgb_420.jpg", "rgb_444_progressive.jpg"}) {
    const std::vector<uint8_t> whole = sample_bytes(name);
    for (size_t length = 0; length < whole.size(); ++length) {
      const std::string error = error_of({whole.begin(), whole.begin() + static_cast<ptrdiff_t>(length)});
      CAPTURE(name, length, error);
      REQUIRE(error.find("x.png: ") == 0);
      if (length == 0) REQUIRE(error.find("empty") != std::string::npos);
      if (length > 60) REQUIRE(error.find("cut off") != std::string::npos);
    }
  }
}

TEST_CASE("a damaged byte never crashes the decoder, and PNG damage is always noticed", "[data][image]") {
  for (const char* name : {"gray.png", "palette.png", "gray.jpg", "rgb_444_progressive.jpg"}) {
    const std::vector<uint8_t> whole = sample_bytes(name);
    const bool png = std::string(name).find(".png") != std::string::npos;
    for (size_t at = 0; at < whole.size(); ++at) {
      std::vector<uint8_t> damaged = whole;
      damaged[at] = static_cast<uint8_t>(damaged[at] ^ (1 + formula::mix64(at) % 255));
      const std::string error = error_of(damaged);
      if (png) {
        CAPTURE(name, at);
        REQUIRE(!error.empty());
      }
    }
  }
}

TEST_CASE("thousands of damaged files, checksums repaired, end in a picture or an error", "[data][image]") {
  std::vector<std::vector<uint8_t>> seeds;
  for (const char* name :
       {"gray.png", "rgba.png", "palette.png", "gray16.png", "mask_1bit.png", "gray.jpg", "rgb_420.jpg", "rgb_444_progressive.jpg"})
    seeds.push_back(sample_bytes(name));
  Random random(99);
  int pictures = 0, errors = 0;
  for (int n = 0; n < 6000; ++n) {
    std::vector<uint8_t> bytes = seeds[random.below(seeds.size())];
    for (uint64_t changes = 1 + random.below(8); changes > 0; --changes) {
      const auto at = bytes.begin() + static_cast<ptrdiff_t>(random.below(bytes.size()));
      switch (random.below(3)) {
        case 0:
          *at ^= static_cast<uint8_t>(1 + random.below(255));
          break;
        case 1:
          bytes.erase(at);
          break;
        default:
          bytes.insert(at, random.chance(0.5) ? uint8_t{0xFF} : static_cast<uint8_t>(random.below(256)));
      }
    }
    if (bytes[0] == 0x89) test::repair_checksums(bytes);
    ++(error_of(bytes).empty() ? pictures : errors);
  }
  CHECK(pictures > 200);
  CHECK(errors > 2000);
}

TEST_CASE("a JPEG whose pixel data end early is refused, wherever they end", "[data][image]") {
  // A whole file with an end marker, so that only the decoder can notice. stb_image shifted by more bits than a number has.
  for (const char* name : {"gray.jpg", "mask.jpg", "rgb_420.jpg", "rgb_444_progressive.jpg"}) {
    const std::vector<uint8_t> whole = sample_bytes(name);
    const uint8_t scan[] = {0xFF, 0xDA};
    const auto header = std::find_end(whole.begin(), whole.end(), std::begin(scan), std::end(scan));
    REQUIRE(header != whole.end());
    const ptrdiff_t first = header - whole.begin() + 2 + header[3], end = std::ssize(whole) - 2;
    for (ptrdiff_t length = 0; first + length < end; ++length) {
      std::vector<uint8_t> cut(whole.begin(), whole.begin() + first + length);
      cut.insert(cut.end(), {0xFF, 0xD9});
      CAPTURE(name, length);
      REQUIRE_THAT(error_of(cut), Catch::Contains("pixel data end early") || Catch::Contains("bad huffman code"));
    }
  }
}

TEST_CASE("oversized, empty and foreign files are refused by name and reason", "[data][image]") {
  const std::vector<uint8_t> png = sample_bytes("gray.png");
  CHECK_THAT(error_of(with_extents(png, 10000, 10000)), Catch::Contains("10000x10000") && Catch::Contains("100 megapixels"));
  CHECK_THAT(error_of(with_extents(png, 8192, 8192)), Catch::Contains("megapixels"));
  CHECK_THAT(error_of(with_extents(png, 100000, 1)), Catch::Contains("too large"));
  CHECK_THAT(error_of(with_extents(png, 0, 4)), Catch::Contains("impossible size"));
  CHECK(!error_of(with_extents(png, 31, 25)).empty());  // more rows claimed than stored
  CHECK_THAT(error_of(png, {.max_side = 30}), Catch::Contains("at most 30"));
  CHECK_THAT(error_of(png, {.max_file_bytes = 100}), Catch::Contains("at most 100"));

  const auto text = [](const std::string& s) { return std::vector<uint8_t>(s.begin(), s.end()); };
  CHECK_THAT(error_of({}), Catch::Contains("0 bytes"));
  CHECK_THAT(error_of(text("GIF89a....")), Catch::Contains("a GIF"));
  CHECK_THAT(error_of(text(std::string(128, '\0') + "DICM")), Catch::Contains("DICOM"));
  CHECK_THAT(error_of(text("file,label\n")), Catch::Contains("not a PNG or JPEG"));
  CHECK_THROWS_WITH(read_image("/nonexistent/slice.png"), Catch::Contains("/nonexistent/slice.png"));
}

TEST_CASE("a JPEG with a fractional sampling ratio never reaches the decoder", "[data][image]") {
  std::vector<uint8_t> bytes = sample_bytes("rgb_420.jpg");
  const uint8_t frame[] = {0xFF, 0xC0, 0x00, 0x11};
  const auto at = std::search(bytes.begin(), bytes.end(), std::begin(frame), std::end(frame));
  REQUIRE(at != bytes.end());
  at[11] = 0x33, at[14] = 0x22;  // components sampled 3x3 and 2x2
  CHECK_THAT(error_of(bytes), Catch::Contains("fractional"));
}

TEST_CASE("a JPEG with impossible Huffman tables never reaches the decoder", "[data][image]") {
  const std::vector<uint8_t> whole = sample_bytes("gray.jpg");
  const uint8_t marker[] = {0xFF, 0xC4};
  const auto table = std::search(whole.begin(), whole.end(), std::begin(marker), std::end(marker)) - whole.begin() + 4;
  REQUIRE(whole[static_cast<size_t>(table)] == 0x00);  // DC table 0
  std::vector<uint8_t> too_many = whole, too_large = whole;
  std::fill_n(too_many.begin() + table + 1, 16, uint8_t{255});
  too_large[static_cast<size_t>(table) + 17] = 200;
  CHECK_THAT(error_of(too_many), Catch::Contains("4080 codes"));
  CHECK_THAT(error_of(too_large), Catch::Contains("value out of range"));
}

TEST_CASE("resizing equals Pillow's: square pictures and masks in every grey level, others within one", "[data][image]") {
  int bilinear = 0, nearest = 0;
  for (const std::string& line : test::golden_lines("resize.txt")) {
    std::istringstream in(line);
    std::string method, hex;
    int64_t height, width, channels, out_height, out_width;
    in >> method >> height >> width >> channels >> out_height >> out_width >> hex;
    CAPTURE(method, height, width, channels, out_height, out_width);
    const Image image = picture(height, width, channels);
    const Image out = method == "bilinear" ? resize_bilinear(image, out_height, out_width) : resize_nearest(image, out_height, out_width);
    CHECK(out.height == out_height);
    // Which pass comes first, Pillow decides by the shape since version 12; both orders round differently.
    const bool square = height == width && out_height == out_width;
    CHECK(largest_difference(out, test::from_hex(hex)) <= (method == "nearest" || square ? 0 : 1));
    ++(method == "bilinear" ? bilinear : nearest);
  }
  CHECK(bilinear == 10);
  CHECK(nearest == 10);
  CHECK_THROWS_WITH(resize_bilinear(picture(4, 4, 1), 0, 4), Catch::Contains("0x4"));
}

TEST_CASE("gray and colour images convert into each other", "[data][image]") {
  const Image gray = picture(8, 9, 1);
  CHECK(to_gray(to_rgb(gray)) == gray);
  CHECK(to_rgb(gray).at(3, 4, 2) == gray.at(3, 4));
}
