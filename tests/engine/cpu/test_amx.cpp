// Products of bf16 by AMX's tiles: the emulated instructions, the kernel over them, and the machine code that is for the processor.
#include "tests/support/catch.h"
#include "tests/support/run_program.h"

#include <cmath>

#include "engine/base/random.h"
#include "engine/core/formula.h"
#include "engine/cpu/cpu_features.h"
#include "tests/engine/cpu/emulated_amx.h"
#include "tests/engine/cpu/emulated_tiles.h"

using namespace dura;
namespace emulated = dura::emulated_tiles;

namespace {

uint16_t bf16_bits(double v) { return formula::to_bf16(static_cast<float>(v)).bits; }

// A tile of one row and one column: sum + the products of the pairs, `a` and `b` two by two.
float one_sum(float sum, const std::vector<double>& a, const std::vector<double>& b) {
  emulated::Tiles::Configuration c;
  c.palette = 1;
  const uint8_t pairs = static_cast<uint8_t>(a.size() / 2);
  for (int t = 0; t < 8; ++t) c.rows[t] = 1, c.row_bytes[t] = 4;
  c.row_bytes[1] = static_cast<uint16_t>(4 * pairs), c.rows[2] = pairs;
  std::vector<uint16_t> left, right;
  for (const double v : a) left.push_back(bf16_bits(v));
  for (const double v : b) right.push_back(bf16_bits(v));
  emulated::_tile_loadconfig(&c);
  emulated::_tile_loadd(0, &sum, 4);
  emulated::_tile_loadd(1, left.data(), 4 * pairs);
  emulated::_tile_loadd(2, right.data(), 4);
  emulated::_tile_dpbf16ps(0, 1, 2);
  emulated::_tile_stored(0, &sum, 4);
  emulated::_tile_release();
  return sum;
}

// A product and what it should be. Around everything that may be read or written lies what is not a number.
struct Case {
  size_t rows, cols, pairs;
  bool transposed;     // are the pairs of neighbouring rows neighbours?
  size_t first_pairs;  // of a depth in two blocks; 0: in one
  cpu::Stored stored;
  bool scaled, residual, relu, accumulate;
};

struct Problem {
  static constexpr size_t nr = 32, margin = 64;
  Case c;
  size_t panels, a_row, a_pair, c_row;
  std::vector<uint16_t> a, b, residual, c16;
  std::vector<float> scale, bias, c32, partial;
  std::vector<ptrdiff_t> c_rows;
  std::vector<double> expected;

  explicit Problem(const Case& of, uint64_t seed) : c(of) {
    constexpr uint16_t nan = 0x7fc0;
    Random random(seed);
    const auto number = [&] { return bf16_bits(random.normal()); };
    panels = (c.cols + nr - 1) / nr;
    a_row = c.transposed ? 2 : 2 * c.pairs + 6, a_pair = c.transposed ? 2 * c.rows + 4 : 2;
    a.assign(margin + c.rows * a_row + c.pairs * a_pair + margin, nan);
    for (size_t i = 0; i < c.rows; ++i)
      for (size_t d = 0; d < 2 * c.pairs; ++d) a[a_at(i, d)] = number();
    b.assign(panels * nr * 2 * c.pairs + margin, nan);
    for (size_t j = 0; j < panels * nr; ++j)
      for (size_t d = 0; d < 2 * c.pairs; ++d) b[b_at(j, d)] = j < c.cols ? number() : uint16_t{0};
    c_row = c.cols + 5;
    c16.assign(c.rows * c_row, nan), c32.assign(c.rows * c_row, NAN), residual.assign(c.rows * c_row, nan);
    partial.assign((c.rows + 31) / 32 * 32 * panels * nr, NAN);
    for (size_t i = 0; i < c.rows; ++i) c_rows.push_back(static_cast<ptrdiff_t>((c.rows - 1 - i) * c_row));  // any order
    for (size_t j = 0; j < c.cols; ++j)
      scale.push_back(static_cast<float>(random.normal())), bias.push_back(static_cast<float>(random.normal()));
    for (size_t i = 0; i < c.rows; ++i)
      for (size_t j = 0; j < c.cols; ++j) {
        const size_t at = static_cast<size_t>(c_rows[i]) + j;
        residual[at] = number(), c16[at] = number(), c32[at] = static_cast<float>(random.normal());
        double sum = 0;
        for (size_t d = 0; d < 2 * c.pairs; ++d) sum += value(a[a_at(i, d)]) * value(b[b_at(j, d)]);
        if (c.scaled) sum = sum * static_cast<double>(scale[j]) + static_cast<double>(bias[j]);
        if (c.residual) sum += value(residual[at]);
        if (c.accumulate) sum += c.stored == cpu::stored_f32 ? static_cast<double>(c32[at]) : value(c16[at]);
        expected.push_back(c.relu ? std::max(0.0, sum) : sum);
      }
  }
  size_t a_at(size_t i, size_t d) const { return i * a_row + d / 2 * a_pair + d % 2; }
  size_t b_at(size_t j, size_t d) const { return (j / nr * c.pairs + d / 2) * nr * 2 + 2 * (j % nr) + d % 2; }
  static double value(uint16_t bits) { return static_cast<double>(formula::from_bf16({bits})); }

  void run(const cpu::Bf16Kernel& kernel) {
    cpu::Bf16Product p = {};
    p.rows = c.rows, p.cols = c.cols;
    p.a_row = static_cast<ptrdiff_t>(a_row), p.a_pair = static_cast<ptrdiff_t>(a_pair);
    p.b_panel = static_cast<ptrdiff_t>(nr * 2 * c.pairs), p.b_pair = 2 * nr;
    p.partial = partial.data();
    p.c = c.stored == cpu::stored_f32 ? static_cast<void*>(c32.data()) : c16.data(), p.c_rows = c_rows.data();
    p.epilogue.stored = c.stored;
    if (c.scaled) p.epilogue.scale = scale.data(), p.epilogue.bias = bias.data();
    if (c.residual) p.epilogue.residual = residual.data();
    p.epilogue.relu = c.relu, p.epilogue.accumulate = c.accumulate;
    const auto block = [&](size_t from, size_t to) {
      p.a = a.data() + a_at(0, 2 * from), p.b = b.data() + from * nr * 2, p.pairs = to - from;
      p.first = from == 0, p.last = to == c.pairs;
      kernel.product(&p);
    };
    if (c.first_pairs > 0) block(0, c.first_pairs);
    block(c.first_pairs, c.pairs);
  }
  // How many elements are further off than rounding permits, or were written although they are not of the output.
  size_t wrong() const {
    size_t count = 0, at = 0;
    std::vector<bool> ours(c.rows * c_row);
    for (size_t i = 0; i < c.rows; ++i)
      for (size_t j = 0; j < c.cols; ++j, ++at) {
        const size_t place = static_cast<size_t>(c_rows[i]) + j;
        ours[place] = true;
        const bool wide = c.stored == cpu::stored_f32;
        const double found = wide ? static_cast<double>(c32[place]) : value(c16[place]);
        // Of f32's rounding, of sums of so many terms; and of the output's.
        const double limit = 1e-5 * std::sqrt(static_cast<double>(c.pairs)) + (wide ? 1e-6 : 0x1.02p-8) * std::abs(expected[at]);
        count += !(std::abs(found - expected[at]) <= limit);
      }
    for (size_t place = 0; place < ours.size(); ++place) count += !ours[place] && (c16[place] != 0x7fc0 || c32[place] == c32[place]);
    return count;
  }
};

}  // namespace

TEST_CASE("Emulated tiles multiply as the processor's are documented to", "[cpu][amx]") {
  CHECK(one_sum(3, {2, 5}, {7, 11}) == 3 + 14 + 55);
  CHECK(one_sum(9, {1, 2, 3, 4, 5, 6}, {1, 10, 100, 1000, 128, 256}) == 9 + 1 + 20 + 300 + 4000 + 640 + 1536);
  // First and second numbers of the pairs are summed apart, and to the tile in the end: one by one, each would vanish beside 1.
  CHECK(one_sum(1, {0x1p-12, 0x1p-12}, {0x1p-12, 0x1p-12}) == 1 + 0x1p-23f);
  CHECK(one_sum(0, {1, 0, 0x1p-24, 0, 0x1p-24, 0}, {1, 1, 1, 1, 1, 1}) == 1);
  // Subnormal numbers count as zero: a factor, a product, a sum in the tile.
  CHECK(one_sum(0, {0x1p-127, 0}, {0x1p100, 0}) == 0);
  CHECK(one_sum(0, {0x1p-126, 0}, {0x1p100, 0}) == 0x1p-26f);
  CHECK(one_sum(0, {0x1p-70, 0}, {0x1p-60, 0}) == 0);
  CHECK(one_sum(0, {0x1p-70, 0x1p-70}, {0x1p-57, 0x1p-57}) == 0);  // each is subnormal, their sum would not be
  CHECK(one_sum(0x1p-127f, {0, 0}, {0, 0}) == 0);
  CHECK(std::isnan(one_sum(0, {NAN, 0}, {0, 0})));
  CHECK(std::isnan(one_sum(0, {INFINITY, 0}, {0, 0})));
  CHECK(one_sum(1, {INFINITY, 0}, {1, 0}) == INFINITY);
  CHECK(one_sum(0, {0x1p100, 0}, {0x1p100, 0}) == INFINITY);
  CHECK_THROWS_WITH(emulated::_tile_zero(0), Catch::Contains("not configured on this thread"));
}

TEST_CASE("The kernel for AMX multiplies blocks of any size, in both layouts, and touches nothing else", "[cpu][amx]") {
  const cpu::Bf16Kernel& kernel = emulated_amx_kernels().bf16;
  uint64_t seed = 0;
  const auto check = [&](const Case& c) {
    INFO(c.rows << " rows, " << c.cols << " columns, " << c.pairs << " pairs (" << c.first_pairs << " first), transposed " << c.transposed
                << ", stored " << c.stored << ", scaled " << c.scaled << ", residual " << c.residual << ", relu " << c.relu
                << ", accumulate " << c.accumulate);
    Problem problem(c, ++seed);
    problem.run(kernel);
    CHECK(problem.wrong() == 0);
    CHECK_THROWS(emulated::_tile_zero(0));  // the tiles are given back
  };
  for (const bool transposed : {false, true}) {
    for (const size_t rows : {1, 3, 15, 16, 17, 31, 32, 33, 48, 70})
      for (const size_t pairs : {1, 5, 16, 21, 48}) check({rows, 37, pairs, transposed, 0, cpu::stored_bf16, true, true, true, false});
    for (const size_t cols : {1, 2, 15, 16, 31, 32, 33, 64, 65})
      check({20, cols, 20, transposed, 0, cpu::stored_bf16, true, true, false, true});
    for (const size_t first : {16, 32, 7}) check({45, 70, 40, transposed, first, cpu::stored_bf16, true, true, true, false});
    check({45, 70, cpu::bf16_most_pairs, transposed, 0, cpu::stored_bf16, false, false, false, false});
    for (const bool accumulate : {false, true}) check({45, 70, 72, transposed, 32, cpu::stored_f32, false, false, false, accumulate});
    for (int parts = 0; parts < 16; ++parts)
      check({34, 40, 24, transposed, 0, cpu::stored_bf16, (parts & 1) != 0, (parts & 2) != 0, (parts & 4) != 0, (parts & 8) != 0});
  }
}

TEST_CASE("The kernel for AMX keeps what is not a number in its row", "[cpu][amx]") {
  Problem problem({40, 40, 21, false, 0, cpu::stored_bf16, false, false, true, false}, 1);
  problem.a[problem.a_at(33, 17)] = 0x7fc0;
  problem.run(emulated_amx_kernels().bf16);
  size_t wrong = 0;
  for (size_t i = 0; i < 40; ++i)
    for (size_t j = 0; j < 40; ++j)
      wrong += std::isnan(Problem::value(problem.c16[static_cast<size_t>(problem.c_rows[i]) + j])) != (i == 33);
  CHECK(wrong == 0);
}

TEST_CASE("The machine code for AMX has its instructions", "[cpu][amx]") {
#if defined(__x86_64__)
  using test::run_found_program;
  if (run_found_program("objdump", {"--version"}).code != 0) {
    WARN("not run: no objdump here");
    return;
  }
  const test::ProgramRun code =
      run_found_program("objdump", {"-d", build_folder() + "/engine/CMakeFiles/dura_engine.dir/cpu/simd_amx.cpp.o"});
  REQUIRE(code.code == 0);
  for (const char* instruction : {"ldtilecfg", "tilezero", "tileloadd", "tdpbf16ps", "tilestored", "tilerelease"})
    CHECK_THAT(code.output, Catch::Contains(instruction));
#endif
}

TEST_CASE("The kernel set amx is used where it is asked for by name, and refused with the reason where it is not there", "[cpu][amx]") {
  const std::string before = cpu::kernels().name;
  if (cpu::why_no_amx().empty()) {
    cpu::use_kernel_set("amx");
    CHECK(cpu::kernels().name == std::string("amx"));
    cpu::use_kernel_set(before);
  } else {
    CHECK_THROWS_WITH(cpu::use_kernel_set("amx"),
                      Catch::Contains("'amx'") && Catch::Contains(cpu::why_no_amx()) && Catch::Contains("Use one of: "));
  }
}
