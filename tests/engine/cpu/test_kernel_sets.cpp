// Which kernels run, what their objects may contain, and the small matrix product.
#include "tests/support/catch.h"
#include "tests/support/folders.h"

#include <array>
#include <cstdio>
#include <filesystem>
#include <cmath>
#include <fstream>

#include "tests/engine/conv_f32_cases.h"
#include "engine/cpu/cpu_features.h"
#include "engine/core/formula.h"
#include "engine/cpu/gemm_f32.h"

using namespace dura;

namespace {

struct Output {
  int status = 0;
  std::string text;
};
Output run(const std::string& command) {
  Output out;
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  REQUIRE(pipe);
  std::array<char, 4096> buffer;
  while (const size_t n = fread(buffer.data(), 1, buffer.size(), pipe)) out.text.append(buffer.data(), n);
  out.status = pclose(pipe);
  return out;
}

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> all;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    all.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return all;
}

}  // namespace

TEST_CASE("The kernel set in use, for the tests that start this program again", "[.kernel-set]") {
  try {
    std::printf("kernels: %s\n", cpu::kernels().name);
  } catch (const UsageError& error) {
    std::printf("refused: %s\n", error.what());
  }
}

TEST_CASE("DURA_CPU forces a kernel set and refuses what is not there", "[cpu]") {
  const std::string program = concat("'", std::filesystem::read_symlink("/proc/self/exe").string(), "' '[.kernel-set]'");
  for (const std::string& set : cpu::available_kernel_sets()) {
    const Output out = run(concat("DURA_CPU=", set, " ", program));
    CHECK(out.status == 0);
    CHECK_THAT(out.text, Catch::Contains(concat("kernels: ", set, "\n")));
  }
  std::vector<std::string> refused = {"sse9", "''", "AVX2"};
  if (!cpu::why_no_amx().empty()) refused.emplace_back("amx");
  for (const std::string& wrong : refused) {
    const Output out = run(concat("DURA_CPU=", wrong, " ", program));
    CHECK_THAT(out.text, Catch::Contains("refused: ") && Catch::Contains("which this processor or build does not have") &&
                             Catch::Contains(". Use one of: ") && Catch::Contains("generic"));
  }
  CHECK(cpu::available_kernel_sets().back() == "generic");
  CHECK_THROWS_AS(cpu::use_kernel_set("nonsense"), UsageError);
}

TEST_CASE("Objects compiled for wider instruction sets export their own table and nothing that a linker could share", "[cpu]") {
  REQUIRE(run("nm --version").status == 0);  // of binutils, without which nothing was linked
  for (const std::string file : {"simd_avx2", "simd_avx512", "simd_avx512bf16", "simd_amx"}) {
    const std::string object = concat(build_folder(), "/engine/CMakeFiles/dura_engine.dir/cpu/", file, ".cpp.o");
    INFO(object);
    REQUIRE(std::filesystem::exists(object));
    const Output symbols = run(concat("nm -C '", object, "'"));
    REQUIRE(symbols.status == 0);
    for (const std::string& line : lines(symbols.text)) {
      INFO(line);
      REQUIRE(line.size() > 19);
      const char kind = line[17];
      const std::string symbol = line.substr(19);
      if (symbol.rfind("__odr_asan", 0) == 0) continue;  // a sanitizer's, beside each exported variable
      if (kind >= 'a' && kind <= 'z' && kind != 'w' && kind != 'v' && kind != 'u') continue;  // local
      if (kind == 'U') {
        const bool known = symbol == "memcpy" || symbol == "memset" || symbol == "_GLOBAL_OFFSET_TABLE_" ||
                           symbol.rfind("__asan", 0) == 0 || symbol.rfind("__ubsan", 0) == 0 || symbol.rfind("__stack_chk", 0) == 0;
        CHECK(known);
      } else {
        const std::string table = concat("dura::cpu::", file.substr(5));
        const bool own = symbol == table + "_kernels" || symbol == table + "_bf16_kernel";
        CHECK(own);
      }
    }
  }
}

TEST_CASE("Files compiled for wider instruction sets include nothing that others compile too", "[cpu]") {
  for (const std::string file :
       {"simd_avx2.cpp", "simd_avx512.cpp", "simd_avx512bf16.cpp", "simd_amx.cpp", "simd_avx512_vector.h", "simd_amx_body.h", "simd_body.h",
        "simd_epilogue.h", "simd_half.h", "simd_pairs.h", "simd_parts.h", "simd_rows.h", "simd_kernels.h"}) {
    INFO(file);
    std::ifstream in(concat(source_folder(), "/engine/cpu/", file));
    REQUIRE(in);
    for (std::string line; std::getline(in, line);) {
      if (line.rfind("#include", 0) != 0) continue;
      INFO(line);
      const std::string name = line.substr(9);
      const bool allowed = name == "<immintrin.h>" || name == "<cstddef>" || name.rfind("\"engine/cpu/simd_", 0) == 0;
      CHECK(allowed);
    }
  }
}

TEST_CASE("gemm_f32 agrees with double with either factor transposed, with bias and accumulation", "[cpu]") {
  using conv_cases::random_tensor;
  const std::string before = cpu::kernels().name;
  for (const std::string& set : cpu::available_kernel_sets()) {
    cpu::use_kernel_set(set);
    for (const auto& size :
         std::vector<std::array<int64_t, 3>>{{1, 1, 1}, {16, 2, 2048}, {50, 37, 5}, {7, 100, 300}, {3, 5, 0}, {97, 64, 256}}) {
      const int64_t m = size[0], n = size[1], depth = size[2];
      const Tensor a = random_tensor({m, depth}, 1), b = random_tensor({depth, n}, 2), bias = random_tensor({n}, 3),
                   start = random_tensor({m, n}, 4);
      Tensor at = random_tensor({depth, m}, 1), bt = random_tensor({n, depth}, 2);
      for (int64_t d = 0; d < depth; ++d) {
        for (int64_t i = 0; i < m; ++i) at.data<float>()[d * m + i] = a.data<float>()[i * depth + d];
        for (int64_t j = 0; j < n; ++j) bt.data<float>()[j * depth + d] = b.data<float>()[d * n + j];
      }
      for (int parts = 0; parts < 4; ++parts) {
        INFO(set << ": " << m << "x" << depth << "x" << n << ", parts " << parts);
        const bool with_bias = parts & 1, accumulate = parts & 2;
        conv_cases::Doubles expected(static_cast<size_t>(m * n), 0.0);
        for (int64_t i = 0; i < m; ++i)
          for (int64_t j = 0; j < n; ++j) {
            double sum = (with_bias ? bias.data<float>()[j] : 0.0) + (accumulate ? start.data<float>()[i * n + j] : 0.0);
            for (int64_t d = 0; d < depth; ++d) sum += static_cast<double>(a.data<float>()[i * depth + d]) * b.data<float>()[d * n + j];
            expected[static_cast<size_t>(i * n + j)] = sum;
          }
        const auto check = [&](const Tensor& left, bool transpose_a, const Tensor& right, bool transpose_b) {
          const Tensor c = Tensor::empty({m, n}, DType::f32, Device::cpu);
          std::copy(start.data<float>(), start.data<float>() + m * n, c.data<float>());
          cpu::gemm_f32({.m = m,
                         .n = n,
                         .depth = depth,
                         .a = left.data<float>(),
                         .b = {right.raw(), cpu::stored_f32},
                         .transpose_a = transpose_a,
                         .transpose_b = transpose_b,
                         .bias = with_bias ? bias.data<float>() : nullptr,
                         .accumulate = accumulate,
                         .c = c.data<float>()});
          CHECK(conv_cases::difference(c, expected).nmse <= 1e-11);
        };
        check(a, false, b, false);
        check(a, false, bt, true);
        check(at, true, b, false);
      }
    }
  }
  cpu::use_kernel_set(before);
}

TEST_CASE("Every kernel set widens and rounds 16-bit numbers as the formulas do, for every number there is", "[cpu]") {
  for (const DType dtype : {DType::bf16, DType::f16}) {
    const cpu::Stored stored = dtype == DType::bf16 ? cpu::stored_bf16 : cpu::stored_f16;
    const auto number = [&](uint16_t bits) { return dtype == DType::bf16 ? formula::from_bf16({bits}) : formula::from_f16({bits}); };
    const auto rounded = [&](float v) { return dtype == DType::bf16 ? formula::to_bf16(v).bits : formula::to_f16(v).bits; };
    std::vector<uint16_t> all(65536 - 3);  // not a multiple of a vector
    for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<uint16_t>(i);
    const std::string before = cpu::kernels().name;
    for (const std::string& set : cpu::available_kernel_sets()) {
      cpu::use_kernel_set(set);
      std::vector<float> wide(all.size());
      cpu::kernels().widen(all.data(), stored, all.size(), wide.data());
      size_t wrong = 0;
      for (size_t i = 0; i < all.size(); ++i)
        wrong += !(wide[i] == number(all[i]) || (wide[i] != wide[i] && number(all[i]) != number(all[i])));
      CHECK(wrong == 0);
      for (const float factor : {1.0f, 1.0f / 3, 0.0078f, 1e-6f, 911.7f}) {
        INFO(set << " " << dtype_name(dtype) << " times " << factor);
        const std::vector<float> scale(all.size(), factor);
        std::vector<uint16_t> out(all.size());
        cpu::RowBlock block = {};
        block.rows = 1, block.channels = all.size(), block.stored = stored;
        block.x = all.data(), block.out = out.data(), block.scale = scale.data();
        cpu::kernels().rows.scale_shift(&block);
        wrong = 0;
        // AVX-512 BF16's own rounding takes subnormal numbers for zero.
        const bool flushes = set == "avx512bf16" && dtype == DType::bf16;
        for (size_t i = 0; i < all.size(); ++i) {
          const float exact = number(all[i]) * factor,
                      v = flushes && std::fpclassify(exact) == FP_SUBNORMAL ? std::copysign(0.0f, exact) : exact;
          wrong += v == v ? out[i] != rounded(v) : number(out[i]) == number(out[i]);
        }
        CHECK(wrong == 0);
      }
    }
    cpu::use_kernel_set(before);
  }
}

TEST_CASE("Integers are refused by name where numbers are computed with", "[cpu]") {
  const Tensor x = Tensor::empty({1, 4, 4, 8}, DType::u8, Device::cpu);
  CHECK_THROWS_WITH(backend(Device::cpu).scale_shift_act(x, {}, x), Catch::Contains("u8 is not a floating type"));
}
