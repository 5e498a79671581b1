// Random numbers by counter: published answers of the generator, and that a number depends on its key and counter alone.
#include "tests/support/catch.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/core/ops.h"
#include "engine/base/parallel.h"
#include "engine/base/random.h"

using namespace dura;

namespace {

std::vector<uint32_t> words(const formula::Philox4& p) { return {p.v[0], p.v[1], p.v[2], p.v[3]}; }

Tensor row_keys(const std::vector<uint64_t>& keys) {
  std::vector<int32_t> halves;
  for (uint64_t k : keys) halves.push_back(static_cast<int32_t>(k & 0xffffffffu)), halves.push_back(static_cast<int32_t>(k >> 32));
  return Tensor::of<int32_t>({static_cast<int64_t>(keys.size()), 2}, halves);
}

Tensor ones(const Shape& s) {
  const Tensor t = Tensor::empty(s, DType::f32, Device::cpu);
  backend(Device::cpu).fill(t, 1.0);
  return t;
}

std::vector<float> row(const Tensor& t, int64_t n) {
  const int64_t width = t.numel() / t.shape()[0];
  return {t.data<float>() + n * width, t.data<float>() + (n + 1) * width};
}

}  // namespace

TEST_CASE("Philox4x32-10 gives its published answers", "[random]") {
  // Known-answer vectors of Random123 1.09 (Salmon et al.), file kat_vectors.
  CHECK(words(formula::philox(0, 0, 0)) == std::vector<uint32_t>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(words(formula::philox(~uint64_t{0}, ~uint64_t{0}, ~uint64_t{0})) ==
        std::vector<uint32_t>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(words(formula::philox(0x299f31d0a4093822, 0x0370734413198a2e, 0x85a308d3243f6a88)) ==
        std::vector<uint32_t>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("hashes of names and of numbers give their published answers", "[random]") {
  CHECK(hash_name("") == 0xcbf29ce484222325);  // FNV-1a, 64 bits
  CHECK(hash_name("a") == 0xaf63dc4c8601ec8c);
  CHECK(hash_name("foobar") == 0x85944171f73967e8);
  CHECK(formula::mix64(0) == 0xe220a8397b1dcdaf);  // the first two numbers of splitmix64 from seed 0
  CHECK(formula::mix64(0x9E3779B97F4A7C15) == 0x6e789e6aa1b965f4);
}

TEST_CASE("streams of different keys or indices differ, and the same one repeats", "[random]") {
  const auto first = [](uint64_t key, uint64_t index) {
    Random r(key, index);
    std::vector<uint32_t> v;
    for (int i = 0; i < 9; ++i) v.push_back(r.next_u32());
    return v;
  };
  CHECK(first(1, 2) == first(1, 2));
  CHECK(first(1, 2) != first(2, 2));
  CHECK(first(1, 2) != first(1, 3));
  CHECK(random_key(1, "shuffle") != random_key(1, "dropout"));
  CHECK(random_key(1, "shuffle") != random_key(2, "shuffle"));
  CHECK(make_row_key(1, 0, 0) != make_row_key(0, 1, 0));
  CHECK(make_row_key(1, 0, 0) != make_row_key(0, 0, 1));
}

TEST_CASE("uniform, bounded and normal numbers have the moments they should", "[random]") {
  constexpr int count = 200000;
  Random r(random_key(7, "moments"));
  double sum = 0, square = 0, normal_sum = 0, normal_square = 0, normal_fourth = 0;
  std::vector<int> buckets(7, 0);
  for (int i = 0; i < count; ++i) {
    const double u = r.uniform();
    REQUIRE((u >= 0 && u < 1));
    sum += u;
    square += u * u;
    ++buckets[r.below(7)];
    const double z = r.normal();
    normal_sum += z;
    normal_square += z * z;
    normal_fourth += z * z * z * z;
  }
  CHECK(sum / count == Approx(0.5).margin(0.003));
  CHECK(square / count == Approx(1.0 / 3).margin(0.003));
  CHECK(normal_sum / count == Approx(0).margin(0.01));
  CHECK(normal_square / count == Approx(1).margin(0.015));
  CHECK(normal_fourth / count == Approx(3).margin(0.1));
  double chi_square = 0;
  for (int b : buckets) chi_square += (b - count / 7.0) * (b - count / 7.0) / (count / 7.0);
  CHECK(chi_square < 22.5);  // 6 degrees of freedom, p = 0.001
  CHECK_THROWS_AS(r.below(0), Error);
}

TEST_CASE("a shuffle is a permutation, and every order of three is as likely", "[random]") {
  std::vector<int> order(100);
  std::iota(order.begin(), order.end(), 0);
  Random r(5);
  r.shuffle(order);
  CHECK_FALSE(std::is_sorted(order.begin(), order.end()));
  std::sort(order.begin(), order.end());
  for (int i = 0; i < 100; ++i) REQUIRE(order[static_cast<size_t>(i)] == i);
  std::vector<int> seen(6, 0);
  for (int i = 0; i < 6000; ++i) {
    std::vector<int> three = {0, 1, 2};
    r.shuffle(three);
    ++seen[static_cast<size_t>(three[0] * 2 + (three[1] > three[2]))];
  }
  for (int s : seen) CHECK(std::abs(s - 1000) < 130);
}

TEST_CASE("dropout is the same for any batch order, batch size and number of threads", "[random][dropout]") {
  const std::vector<uint64_t> keys = {make_row_key(11, 0, 0), make_row_key(12, 0, 0), make_row_key(13, 0, 0), make_row_key(12, 1, 0)};
  const uint64_t key = random_key(3, "dropout");
  const Tensor x = ones({4, 50, 3, 7}), y = dropout(x, 0.5, key, row_keys(keys)).value();
  const Tensor reversed = dropout(x, 0.5, key, row_keys({keys[3], keys[2], keys[1], keys[0]})).value();
  for (int64_t n = 0; n < 4; ++n) {
    CHECK(row(y, n) == row(reversed, 3 - n));
    CHECK(row(y, n) == row(dropout(ones({1, 50, 3, 7}), 0.5, key, row_keys({keys[static_cast<size_t>(n)]})).value(), 0));
  }
  CHECK(row(y, 1) != row(y, 3));  // the same sample in another epoch
  CHECK(row(y, 0) != row(y, 1));
  CHECK(row(y, 0) != row(dropout(x, 0.5, random_key(4, "dropout"), row_keys(keys)).value(), 0));
  const int before = num_threads();
  for (int threads : {1, 3}) {
    set_num_threads(threads);
    CHECK(row(y, 2) == row(dropout(x, 0.5, key, row_keys(keys)).value(), 2));
  }
  set_num_threads(before);
}

TEST_CASE("dropout keeps the share it should and the mean of its input", "[random][dropout]") {
  for (const double p : {0.1, 0.5, 0.9}) {
    const Tensor y = dropout(ones({8, 20000}), p, 1, row_keys({1, 2, 3, 4, 5, 6, 7, 8})).value();
    double kept = 0, sum = 0;
    for (int64_t i = 0; i < y.numel(); ++i) {
      const float v = y.data<float>()[i];
      REQUIRE((v == 0.0f || v == static_cast<float>(1 / (1 - p))));
      kept += v != 0;
      sum += static_cast<double>(v);
    }
    CHECK(kept / 160000 == Approx(1 - p).margin(0.005));
    CHECK(sum / 160000 == Approx(1).margin(0.05));
  }
}
