#include "tests/support/catch.h"

#include <algorithm>
#include <cmath>

#include "engine/core/backend.h"
#include "engine/base/parallel.h"
#include "tests/support/picture_formula.h"

using namespace dura;
using test::picture;

namespace {

Tensor as_tensor(const Image& image) { return Tensor::of(Shape({1, image.height, image.width, image.channels}), image.pixels); }

std::vector<uint8_t> bytes_of(const Tensor& t) { return {t.data<uint8_t>(), t.data<uint8_t>() + t.numel()}; }

Tensor warped(const Tensor& x, const std::vector<float>& matrix, const Shape& shape) {
  const Tensor y = Tensor::empty(shape, DType::u8, Device::cpu);
  backend(Device::cpu).warp(x, {}, Tensor::of(Shape({x.shape()[0], 6}), matrix), y);
  return y;
}

Tensor enhanced(const Tensor& x, const std::vector<float>& parameters) {
  const Tensor y = Tensor::empty(x.shape(), DType::u8, Device::cpu);
  backend(Device::cpu).enhance(x, Tensor::of(Shape({x.shape()[0], 3}), parameters), y);
  return y;
}

// Bilinear sampling in double, straight from its definition: the sum over all pixels of the tent at the clamped position.
double sampled(const Image& image, double row, double column, int64_t channel) {
  row = std::clamp(row, 0.0, static_cast<double>(image.height - 1));
  column = std::clamp(column, 0.0, static_cast<double>(image.width - 1));
  double sum = 0;
  for (int64_t r = 0; r < image.height; ++r)
    for (int64_t c = 0; c < image.width; ++c)
      sum += std::max(0.0, 1 - std::abs(row - static_cast<double>(r))) * std::max(0.0, 1 - std::abs(column - static_cast<double>(c))) *
             image.at(r, c, channel);
  return sum;
}

}  // namespace

TEST_CASE("a warp by the identity, a shift or a flip moves pixels and changes none", "[images]") {
  for (int64_t channels : {1, 3}) {
    const Image image = picture(13, 10, channels);
    const Tensor x = as_tensor(image);
    CHECK(bytes_of(warped(x, {1, 0, 0, 0, 1, 0}, x.shape())) == image.pixels);
    const Tensor flipped = warped(x, {1, 0, 0, 0, -1, 9}, x.shape());
    const Tensor shifted = warped(x, {1, 0, 2, 0, 1, -3}, x.shape());
    size_t wrong = 0;
    for (int64_t r = 0; r < 13; ++r)
      for (int64_t c = 0; c < 10; ++c)
        for (int64_t k = 0; k < channels; ++k) {
          const int64_t at = (r * 10 + c) * channels + k;
          wrong += flipped.data<uint8_t>()[at] != image.at(r, 9 - c, k);
          wrong += shifted.data<uint8_t>()[at] != image.at(std::min<int64_t>(12, r + 2), std::max<int64_t>(0, c - 3), k);
        }
    CHECK(wrong == 0);
  }
}

TEST_CASE("a warp samples bilinearly as its definition says, border repeated", "[images]") {
  const std::vector<float> matrices = {0.9f, 0.35f, -2.3f, -0.3f, 1.1f, 1.7f, 0.4f, 0, 5.5f, 0, 0.3f, 4.25f};
  Image images[2] = {picture(17, 14, 3), picture(17, 14, 3)};
  std::reverse(images[1].pixels.begin(), images[1].pixels.end());
  std::vector<uint8_t> both = images[0].pixels;
  both.insert(both.end(), images[1].pixels.begin(), images[1].pixels.end());
  const Tensor y = warped(Tensor::of(Shape({2, 17, 14, 3}), both), matrices, Shape({2, 20, 9, 3}));
  double largest = 0;
  const uint8_t* out = y.data<uint8_t>();
  for (int n = 0; n < 2; ++n)
    for (int i = 0; i < 20; ++i)
      for (int j = 0; j < 9; ++j)
        for (int k = 0; k < 3; ++k) {
          const float* m = &matrices[6 * static_cast<size_t>(n)];
          const double expected =
              sampled(images[n], double{m[0]} * i + double{m[1]} * j + m[2], double{m[3]} * i + double{m[4]} * j + m[5], k);
          largest = std::max(largest, std::abs(expected - *out++));
        }
  CHECK(largest < 0.501);
}

TEST_CASE("a warp with infinite or undefined coordinates stays inside of the image", "[images]") {
  const Tensor x = as_tensor(picture(5, 6, 1));
  const float inf = INFINITY, nan = NAN;
  for (const std::vector<float>& m :
       {std::vector<float>{nan, nan, nan, nan, nan, nan}, {inf, 0, 1, 0, -inf, 1}, {0, 0, 3e38f, 0, 0, -3e38f}})
    CHECK(warped(x, m, x.shape()).numel() == 30);
  CHECK(warped(x, {0, 0, 3e38f, 0, 0, -3e38f}, x.shape()).data<uint8_t>()[0] == picture(5, 6, 1).at(4, 0));
}

TEST_CASE("sharpness equals Pillow's in every grey level", "[images]") {
  int cases = 0;
  for (const std::string& line : test::golden_lines("enhance.txt")) {
    std::istringstream in(line);
    int64_t height, width, channels;
    float factor;
    std::string hex;
    in >> height >> width >> channels >> factor >> hex;
    CAPTURE(height, width, channels, factor);
    CHECK(bytes_of(enhanced(as_tensor(picture(height, width, channels)), {factor, 1, 1})) == test::from_hex(hex));
    ++cases;
  }
  CHECK(cases == 6);
}

TEST_CASE("brightness is a factor and contrast stretches about 128", "[images]") {
  const Image image = picture(6, 7, 3);
  const std::vector<uint8_t> y = bytes_of(enhanced(as_tensor(image), {1, 1.25f, 0.5f}));
  for (size_t i = 0; i < y.size(); ++i) REQUIRE(std::abs(y[i] - std::clamp((image.pixels[i] * 1.25 - 128) * 0.5 + 128, 0.0, 255.0)) <= 0.5);
  CHECK(bytes_of(enhanced(as_tensor(image), {1, 1, 1})) == image.pixels);
}

TEMPLATE_TEST_CASE("normalising subtracts the mean and divides by the deviation of each channel", "[images]", float, double) {
  const Image image = picture(5, 4, 3);
  const float mean[3] = {123.675f, 116.28f, 103.53f}, std[3] = {58.395f, 57.12f, 57.375f};
  for (bool bgr : {false, true}) {
    const Tensor y = Tensor::empty(Shape({1, 5, 4, 3}), dtype_of(TestType{}), Device::cpu);
    backend(Device::cpu).normalize(as_tensor(image), mean, std, bgr, y);
    for (int64_t i = 0; i < 20; ++i)
      for (int64_t c = 0; c < 3; ++c) {
        const double expected =
            (static_cast<double>(image.pixels[static_cast<size_t>(3 * i + (bgr ? 2 - c : c))]) - double{mean[c]}) / double{std[c]};
        REQUIRE(y.data<TestType>()[3 * i + c] ==
                Approx(expected).epsilon(sizeof(TestType) == 4 ? 1e-6 : 1e-14).margin(sizeof(TestType) == 4 ? 1e-6 : 1e-13));
      }
  }
}

TEST_CASE("image kernels give the same bytes for any number of threads", "[images]") {
  const Image image = picture(150, 90, 3);
  const int before = num_threads();
  std::vector<std::vector<uint8_t>> results;
  for (int threads : {1, 4}) {
    set_num_threads(threads);
    results.push_back(
        bytes_of(enhanced(warped(as_tensor(image), {0.9f, 0.3f, 2, -0.3f, 0.9f, 8}, Shape({1, 150, 90, 3})), {1.6f, 1.1f, 0.9f})));
  }
  set_num_threads(before);
  CHECK(results[0] == results[1]);
}

TEST_CASE("image kernels name the shapes that do not fit", "[images]") {
  const Tensor x = as_tensor(picture(4, 5, 3)), y = Tensor::empty(Shape({1, 4, 5, 3}), DType::u8, Device::cpu);
  CHECK_THROWS_WITH(backend(Device::cpu).enhance(x, Tensor::of(Shape({3}), std::vector<float>(3)), y), Catch::Contains("(1,3)"));
  CHECK_THROWS_WITH(backend(Device::cpu).enhance(x, Tensor::of(Shape({1, 3}), std::vector<float>(3)), x),
                    Catch::Contains("different memory"));
  CHECK_THROWS_WITH(backend(Device::cpu).warp(x, {}, Tensor::of(Shape({1, 3}), std::vector<float>(3)), y), Catch::Contains("(1,6)"));
  const Tensor matrix = Tensor::of(Shape({1, 6}), std::vector<float>(6));
  CHECK_THROWS_WITH(backend(Device::cpu).warp(x, Tensor::of<int32_t>({2}, {0, 0}), matrix, y), Catch::Contains("rows are i32 (2)"));
  for (const int32_t number : {-1, 1})
    CHECK_THROWS_WITH(backend(Device::cpu).warp(x, Tensor::of<int32_t>({1}, {number}), matrix, y), Catch::Contains("of 1 was asked for"));
  const float one[3] = {1, 1, 1};
  CHECK_THROWS_WITH(backend(Device::cpu).normalize(x, one, one, false, y), Catch::Contains("not a floating type"));
}
