// 16-bit storage: every pattern, every rounding, and numpy's and PyTorch's answers (tests/golden/make_half.py).
#include "tests/support/catch.h"

#include <cmath>
#include <limits>

#include "engine/core/backend.h"
#include "engine/core/formula.h"

using namespace dura;
using namespace dura::formula;

namespace {

// What the bits of a binary format with `exponent_bits` and `mantissa_bits` mean, in double.
double meaning(uint16_t bits, int exponent_bits, int mantissa_bits) {
  const int exponent = (bits >> mantissa_bits) & ((1 << exponent_bits) - 1), mantissa = bits & ((1 << mantissa_bits) - 1);
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const double sign = bits & 0x8000 ? -1 : 1;
  if (exponent == (1 << exponent_bits) - 1) return mantissa ? std::nan("") : sign * std::numeric_limits<double>::infinity();
  if (exponent == 0) return sign * std::ldexp(mantissa, 1 - bias - mantissa_bits);
  return sign * std::ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits);
}

double f16_meaning(uint16_t bits) { return meaning(bits, 5, 10); }
double bf16_meaning(uint16_t bits) { return meaning(bits, 8, 7); }

template <class F>
uint64_t hashed_total(F&& converted) {
  uint64_t sum = 0;
  for (uint64_t i = 0; i < (1 << 20); ++i) sum += mix64(converted(static_cast<uint32_t>(mix64(12345 + i) >> 32)) ^ mix64(i));
  return sum;
}

}  // namespace

TEST_CASE("all 65536 patterns of f16 and bf16 mean what their formats say, and convert back to themselves", "[dtype]") {
  for (uint32_t p = 0; p < 65536; ++p) {
    const auto bits = static_cast<uint16_t>(p);
    const float a = from_f16({bits}), b = from_bf16({bits});
    if (std::isnan(f16_meaning(bits))) {
      REQUIRE(std::isnan(a));
      REQUIRE(std::isnan(from_f16(to_f16(a))));
    } else {
      REQUIRE(static_cast<double>(a) == f16_meaning(bits));
      REQUIRE(to_f16(a).bits == bits);
    }
    if (std::isnan(bf16_meaning(bits))) {
      REQUIRE(std::isnan(b));
      REQUIRE(std::isnan(from_bf16(to_bf16(b))));
    } else {
      REQUIRE(static_cast<double>(b) == bf16_meaning(bits));
      REQUIRE(to_bf16(b).bits == bits);
    }
  }
}

TEST_CASE("between two neighbours the nearer one is taken, and in the middle the even one", "[dtype]") {
  const auto check = [](auto to, auto mean, uint16_t last_finite) {
    for (uint16_t p = 0; p < last_finite; ++p) {
      const double low = mean(p), high = mean(static_cast<uint16_t>(p + 1)), middle = (low + high) / 2;  // exact in f32: it has more bits
      const auto f = static_cast<float>(middle);
      if (static_cast<double>(f) != middle) continue;  // halves of the smallest bf16 are below f32
      REQUIRE(to(f).bits == (p % 2 ? p + 1 : p));
      REQUIRE(to(std::nextafter(f, 0.0f)).bits == p);
      REQUIRE(to(std::nextafter(f, std::numeric_limits<float>::infinity())).bits == p + 1);
      REQUIRE(to(-f).bits == (0x8000 | (p % 2 ? p + 1 : p)));
    }
  };
  check(to_f16, f16_meaning, 0x7bff);
  check(to_bf16, bf16_meaning, 0x7f7f);
}

TEST_CASE("what is too large becomes infinite, and NaN stays NaN", "[dtype]") {
  CHECK(to_f16(65504.0f).bits == 0x7bff);
  CHECK(to_f16(65519.996f).bits == 0x7bff);
  CHECK(to_f16(65520.0f).bits == 0x7c00);
  CHECK(to_f16(-1e30f).bits == 0xfc00);
  CHECK(to_bf16(std::numeric_limits<float>::max()).bits == 0x7f80);
  CHECK(to_bf16(std::numeric_limits<float>::infinity()).bits == 0x7f80);
  for (const uint32_t nan : {0x7fc00000u, 0x7f800001u, 0xffffffffu, 0x7fbfffffu}) {
    CHECK(std::isnan(from_f16(to_f16(bits_float(nan)))));
    CHECK(std::isnan(from_bf16(to_bf16(bits_float(nan)))));
  }
}

TEST_CASE("a million conversions agree with numpy and PyTorch", "[dtype]") {
  const auto kept = [](uint32_t bits, uint16_t converted) { return std::isnan(bits_float(bits)) ? uint64_t{0} : uint64_t{converted}; };
  CHECK(hashed_total([&](uint32_t b) { return kept(b, to_f16(bits_float(b)).bits); }) == 0x28890acd872ed21d);
  CHECK(hashed_total([&](uint32_t b) { return kept(b, to_bf16(bits_float(b)).bits); }) == 0x5fefd53c657dc74a);
  CHECK(hashed_total([](uint32_t b) { return uint64_t{to_f16(bits_float((b & 0x80ffffff) | ((100 + (b >> 24) % 45) << 23))).bits}; }) ==
        0x9002e21777c0261d);
}

TEST_CASE("casting a tensor rounds each element as the scalar conversion does", "[dtype]") {
  const std::vector<float> values = {0.0f, -0.0f, 1.0f, 0.1f, -65504.0f, 70000.0f, 6e-8f, 1e-30f, 3.14159265f};
  const Tensor x = Tensor::of<float>({9}, values), half = Tensor::empty({9}, DType::f16, Device::cpu),
               brain = Tensor::empty({9}, DType::bf16, Device::cpu), wide = Tensor::empty({9}, DType::f64, Device::cpu);
  Backend& b = backend(Device::cpu);
  b.cast(x, half);
  b.cast(x, brain);
  b.cast(half, wide);
  for (size_t i = 0; i < values.size(); ++i) {
    CHECK(half.data<f16>()[i].bits == to_f16(values[i]).bits);
    CHECK(brain.data<bf16>()[i].bits == to_bf16(values[i]).bits);
    CHECK(wide.data<double>()[i] == f16_meaning(half.data<f16>()[i].bits));
  }
}

TEST_CASE("names of element types", "[dtype]") {
  for (const DType t : {DType::f32, DType::f64, DType::f16, DType::bf16, DType::i32, DType::u8}) CHECK(parse_dtype(dtype_name(t)) == t);
  CHECK_THROWS_AS(parse_dtype("float"), UsageError);
  CHECK_THROWS_WITH(parse_dtype("f1"), Catch::Contains("f1") && Catch::Contains("f32"));
  CHECK_THROWS_AS(parse_dtype("f166"), UsageError);
}

TEST_CASE("casting f64 to 16 bits rounds once", "[dtype]") {
  // Just beside the middle of two neighbours, by less than f32 resolves: going through f32 would end on the middle and then take the even
  // one.
  struct Row {
    double value;
    uint16_t half, brain;
  };
  const double little = 0x1p-40;
  const std::vector<Row> rows = {{1 + 0x1p-11 + little, 0x3c01, 0x3f80},
                                 {1 + 0x1p-11 - little, 0x3c00, 0x3f80},
                                 {1 + 0x3p-11 - little, 0x3c01, 0x3f80},
                                 {-(1 + 0x1p-11 + little), 0xbc01, 0xbf80},
                                 {1 + 0x1p-8 + little, 0x3c04, 0x3f81},
                                 {1 + 0x3p-8 - little, 0x3c0c, 0x3f81},
                                 {0x1p-25 * (1 + little), 0x0001, 0x3300},
                                 {0x1p-25, 0x0000, 0x3300},
                                 {65520 * (1 - little), 0x7bff, 0x4780},
                                 {1e300, 0x7c00, 0x7f80},
                                 {-1e-300, 0x8000, 0x8000},
                                 {-std::numeric_limits<double>::infinity(), 0xfc00, 0xff80}};
  for (const Row& r : rows) {
    CAPTURE(r.value);
    const Tensor x = Tensor::of<double>({1}, {r.value}), half = Tensor::empty({1}, DType::f16, Device::cpu),
                 brain = Tensor::empty({1}, DType::bf16, Device::cpu);
    backend(Device::cpu).cast(x, half);
    backend(Device::cpu).cast(x, brain);
    CHECK(half.data<f16>()->bits == r.half);
    CHECK(brain.data<bf16>()->bits == r.brain);
  }
  const Tensor nan = Tensor::of<double>({1}, {std::numeric_limits<double>::quiet_NaN()}),
               half = Tensor::empty({1}, DType::f16, Device::cpu);
  backend(Device::cpu).cast(nan, half);
  CHECK(std::isnan(from_f16(*half.data<f16>())));
}
