// Copies are found however they lie, and neighbouring slices of one head are not taken for copies.
#include "tests/support/catch.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>

#include "data/audit/copy_signature.h"
#include "data/phantom/phantom.h"
#include "engine/base/random.h"
#include "engine/core/formula.h"
#include "tests/support/ranks.h"

using namespace dura;
using Catch::Contains;

namespace {

// Row r, column c of a square picture's symmetry, as the definition says: transposed, then flipped.
Image laid(const Image& image, int number) {
  const Placement p = symmetry(number);
  Image result = image;
  for (int64_t r = 0; r < image.height; ++r)
    for (int64_t c = 0; c < image.width; ++c) {
      const int64_t row = p.flipped_vertically ? image.height - 1 - r : r, column = p.flipped_horizontally ? image.width - 1 - c : c;
      result.at(r, c) = p.transposed ? image.at(column, row) : image.at(row, column);
    }
  return result;
}

Image rotated(const Image& image, double degrees, double shift) {
  const double a = degrees * 3.14159265358979 / 180, centre = 0.5 * static_cast<double>(image.height - 1);
  Image result(image.height, image.width, 1);
  for (int64_t r = 0; r < image.height; ++r)
    for (int64_t c = 0; c < image.width; ++c) {
      const double y = static_cast<double>(r) - centre - shift, x = static_cast<double>(c) - centre;
      const double fy = std::cos(a) * y - std::sin(a) * x + centre, fx = std::sin(a) * y + std::cos(a) * x + centre;
      const auto row = static_cast<int64_t>(std::floor(fy)), column = static_cast<int64_t>(std::floor(fx));
      if (row < 0 || column < 0 || row + 1 >= image.height || column + 1 >= image.width) continue;
      const double dy = fy - std::floor(fy), dx = fx - std::floor(fx);
      result.at(r, c) = static_cast<uint8_t>(std::lround((image.at(row, column) * (1 - dx) + image.at(row, column + 1) * dx) * (1 - dy) +
                                                         (image.at(row + 1, column) * (1 - dx) + image.at(row + 1, column + 1) * dx) * dy));
    }
  return result;
}

// gain, offset and gamma; and noise of a few levels, as another compression leaves.
Image changed(Image image, double gain, double offset, double gamma) {
  for (size_t i = 0; i < image.pixels.size(); ++i) {
    const double noise = static_cast<double>(formula::mix64(i) % 5) - 2;
    image.pixels[i] =
        static_cast<uint8_t>(std::clamp(std::lround(255 * std::pow(image.pixels[i] / 255.0, gamma) * gain + offset + noise), 0L, 255L));
  }
  return image;
}

std::vector<Image> slices() {
  const PhantomOptions options{.seed = 9, .patients = 24, .slices_per_patient = 3};
  std::vector<Image> all;
  for (int64_t i = 0; i < options.images(); ++i) all.push_back(make_phantom(options, i).image);
  return all;
}

std::vector<Fingerprint> fingerprints(const std::vector<Image>& images) {
  std::vector<Fingerprint> all;
  for (const Image& image : images) all.push_back(fingerprint_of(image));
  return all;
}

}  // namespace

TEST_CASE("slices of different patients and neighbouring slices of one are no copies", "[data][leak]") {
  const std::vector<NearCopy> pairs = find_near_copies(fingerprints(slices()));
  for (const NearCopy& p : pairs) UNSCOPED_INFO(p.first << " and " << p.second << ": " << p.likeness);
  CHECK(pairs.empty());
}

TEST_CASE("a copy is found in each of the eight ways it can lie, and the way is named", "[data][leak]") {
  std::vector<Image> images = slices();
  const auto originals = static_cast<int64_t>(images.size());
  for (int s = 0; s < symmetries; ++s) images.push_back(changed(laid(images[static_cast<size_t>(5 * s + 2)], s), 1, 0, 1));
  const std::vector<NearCopy> pairs = find_near_copies(fingerprints(images));
  REQUIRE(pairs.size() == symmetries);
  for (const NearCopy& p : pairs) {
    const auto s = static_cast<int>(p.second - originals);
    CAPTURE(s, p.placement.name());
    CHECK(p.first == 5 * s + 2);
    CHECK(p.likeness > 0.995);
  }
  std::set<std::string> names;
  for (int s = 0; s < symmetries; ++s) names.insert(symmetry(s).name());
  CHECK(names.size() == symmetries);
  CHECK(pairs[1].placement.name() == "mirrored left to right");
}

TEST_CASE("a copy that was rotated a little, shifted, brightened or compressed is found", "[data][leak]") {
  std::vector<Image> images = slices();
  const size_t originals = images.size();
  struct Change {
    double degrees, shift, gain, offset, gamma;
  };
  const std::vector<Change> changes = {{0, 0, 0.7, 20, 1}, {0, 0, 1.3, -10, 1},    {0, 0, 1, 0, 0.8}, {0, 0, 1, 0, 1.25},
                                       {4, 0, 1, 0, 1},    {-7, 0, 1, 0, 1},       {2.2, 3, 1, 0, 1}, {0, -3, 0.9, 5, 1},
                                       {8.5, 0, 1, 0, 1},  {-5.5, 0, 0.95, 0, 0.9}};
  for (size_t i = 0; i < changes.size(); ++i) {
    const Change& c = changes[i];
    images.push_back(
        changed(rotated(laid(images[6 * i + 1], static_cast<int>(i % symmetries)), c.degrees, c.shift), c.gain, c.offset, c.gamma));
  }
  std::set<std::pair<int64_t, int64_t>> found;
  for (const NearCopy& p : find_near_copies(fingerprints(images))) found.insert({p.first, p.second});
  for (size_t i = 0; i < changes.size(); ++i) {
    CAPTURE(i, changes[i].degrees, changes[i].shift, changes[i].gain, changes[i].gamma);
    CHECK(found.count({static_cast<int64_t>(6 * i + 1), static_cast<int64_t>(originals + i)}) == 1);
  }
  CHECK(found.size() == changes.size());
}

TEST_CASE("of many pictures, those close by their signatures hold all copies that the comparison of all finds", "[data][leak]") {
  std::vector<Image> images = slices();
  const size_t originals = images.size();
  Random random(random_key(0, "copies"));
  const auto within = [&](double most) { return most * (2 * random.uniform() - 1); };
  for (size_t i = 0; i < 60; ++i) {
    const Image turned = laid(images[i], static_cast<int>(i % symmetries));
    images.push_back(
        changed(i % 3 == 0 ? turned : rotated(turned, within(9), within(2)), 1 + within(0.3), within(10), std::pow(1.25, within(1))));
  }
  const std::vector<Fingerprint> prints = fingerprints(images);
  const auto of = [](const std::vector<NearCopy>& pairs) {
    std::vector<std::tuple<int64_t, int64_t, std::string, double>> all;
    for (const NearCopy& p : pairs) all.emplace_back(p.first, p.second, p.placement.name(), p.likeness);
    return all;
  };
  const auto all_pairs = of(find_near_copies(prints));
  CHECK(all_pairs.size() > 30);
  CHECK(of(find_near_copies(prints, {.all_pairs_up_to = 0})) == all_pairs);
  // Few pairs of different pictures are looked at.
  int64_t different = 0;
  CopySignatures(prints).for_close({}, [&](int64_t i, const std::vector<int64_t>& close) {
    for (const int64_t j : close) different += j < static_cast<int64_t>(originals) && i / 3 != j / 3;  // three slices of a patient
  });
  CHECK(different < static_cast<int64_t>(originals * originals / 2 / 20));

  // Processes that share the work find the same, either way.
  for (const int64_t up_to : {0, 1000}) {
    const std::vector<std::string> errors = test::on_ranks(3, {}, [&](Communicator& ranks) {
      DURA_CHECK(of(find_near_copies(prints, {.all_pairs_up_to = up_to, .shared = ranks.work()})) == all_pairs, "other pairs");
    });
    CHECK(errors == std::vector<std::string>(3));
  }
}

TEST_CASE("pictures without contrast are no copies of anything", "[data][leak]") {
  const std::vector<Image> images = {Image(20, 20, 1, 0), Image(20, 30, 1, 0), Image(20, 20, 1, 200)};
  for (const int64_t up_to : {0, 1000}) {
    CHECK(find_near_copies(fingerprints(images), {.all_pairs_up_to = up_to}).empty());
    CHECK(find_near_copies({}, {.all_pairs_up_to = up_to}).empty());
  }
}
