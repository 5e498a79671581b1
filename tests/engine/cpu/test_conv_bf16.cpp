// Convolutions of bf16 tensors by products of bf16 numbers: with every kernel set that has them, and with emulated tiles of AMX.
#include "tests/support/catch.h"

#include <cmath>
#include <cstring>

#include "engine/base/parallel.h"
#include "engine/base/random.h"
#include "engine/core/formula.h"
#include "engine/cpu/conv.h"
#include "engine/cpu/cpu_features.h"
#include "tests/engine/conv_f32_cases.h"
#include "tests/engine/cpu/emulated_amx.h"

using namespace dura;
using namespace dura::conv_cases;

namespace {

// A set with bf16 products while alive.
struct Bf16Kernels {
  std::string before = cpu::kernels().name;
  explicit Bf16Kernels(const std::string& set) { use_kernels(set); }
  ~Bf16Kernels() { use_kernels(before); }
  Bf16Kernels(const Bf16Kernels&) = delete;
  Bf16Kernels& operator=(const Bf16Kernels&) = delete;
};

Tensor cast(const Tensor& t, DType dtype) {
  const Tensor other = Tensor::empty(t.shape(), dtype, Device::cpu);
  backend(Device::cpu).cast(t, other);
  return other;
}

// Random numbers that bf16 holds exactly, stored as `dtype`.
Tensor operand(const Shape& shape, uint64_t key, DType dtype) {
  const Tensor wide = Tensor::empty(shape, DType::f32, Device::cpu);
  Random random(key);
  for (int64_t i = 0; i < wide.numel(); ++i) wide.data<float>()[i] = static_cast<float>(0.5 * random.normal());
  return cast(cast(wide, DType::bf16), dtype);
}

Tensor bytes(size_t count) { return Tensor::empty({static_cast<int64_t>(count)}, DType::u8, Device::cpu); }

// All three passes with everything that can be asked of them.
struct Passes {
  Tensor y, dx, dw;
  Passes(const ConvGeometry& g, DType dtype) {
    const Shape in({g.N, g.H, g.W, g.C}), out({g.N, g.P, g.Q, g.K}), filter({g.K, g.R, g.S, g.C}), channels({g.K});
    const Tensor x = operand(in, 1, dtype), w = operand(filter, 2, dtype), dy = operand(out, 3, dtype), residual = operand(out, 4, dtype);
    // A power of two: the folded scale is then exact in bf16, too.
    const Tensor scale = operand(channels, 5, DType::f32), bias = operand(channels, 6, DType::f32),
                 half = Tensor::of<float>(channels, std::vector<float>(static_cast<size_t>(g.K), 0.5f));
    y = Tensor::empty(out, dtype, Device::cpu), dx = operand(in, 7, dtype), dw = operand(filter, 8, dtype);
    const bool narrow = dtype == DType::bf16;
    const auto workspace = [&](ConvPass pass) {
      return bytes(narrow ? cpu::conv_workspace_bf16(g, pass) : cpu::conv_workspace_f32(g, dtype, pass));
    };
    (narrow ? cpu::conv_forward_bf16 : cpu::conv_forward_f32)(g, x, {w, nullptr}, {scale, bias, residual, true},
                                                              workspace(ConvPass::forward), y);
    (narrow ? cpu::conv_backward_data_bf16 : cpu::conv_backward_data_f32)(g, dy, {w, nullptr}, {half, {}},
                                                                          workspace(ConvPass::backward_data), {dx, true});
    (narrow ? cpu::conv_backward_filter_bf16 : cpu::conv_backward_filter_f32)(g, x, dy, workspace(ConvPass::backward_filter), {dw, true});
  }
};

double largest_difference(const Tensor& stored, const Tensor& expected) {
  const Tensor found = cast(stored, DType::f32);
  double worst = 0, scale = 0;
  for (int64_t i = 0; i < expected.numel(); ++i) {
    const double e = static_cast<double>(expected.data<float>()[i]);
    worst = std::max(worst, std::abs(static_cast<double>(found.data<float>()[i]) - e));
    scale = std::max(scale, std::abs(e));
  }
  return scale > 0 ? worst / scale : worst;  // behind a ReLU all may be zero
}

bool same_bits(const Tensor& a, const Tensor& b) { return a.bytes() == b.bytes() && std::memcmp(a.raw(), b.raw(), a.bytes()) == 0; }

}  // namespace

TEST_CASE("bf16 convolutions with bf16 products are f32's, rounded once", "[cpu][conv]") {
  const std::string set = GENERATE(from_range(bf16_kernel_sets()));
  CAPTURE(set);
  const Bf16Kernels kernels(set);
  // Odd depths, channels that fill no panel, strides whose parities have different taps, pixels no tap reaches, one row, a depth of two
  // blocks, and a batch whose filter gradient is cut into chunks.
  for (const ConvGeometry& g :
       {geometry(2, 13, 11, 3, 5, 7, 7, 2, 3), geometry(3, 9, 8, 5, 37, 3, 3, 2, 1), geometry(1, 6, 6, 7, 9, 1, 1, 1, 0),
        geometry(2, 7, 7, 16, 40, 1, 1, 2, 0), geometry(1, 1, 1, 64, 2, 1, 1, 1, 0), geometry(2, 5, 5, 128, 33, 3, 3, 1, 1),
        geometry(1, 7, 7, 1100, 64, 1, 1, 1, 0), geometry(4, 40, 40, 24, 48, 3, 3, 1, 1)}) {
    CAPTURE(name(g));
    const Passes stored(g, DType::bf16), exact(g, DType::f32);
    const double limit = 1.01 * 0x1p-8 + 1e-5;
    CHECK(largest_difference(stored.y, exact.y) < limit);
    CHECK(largest_difference(stored.dx, exact.dx) < limit);
    CHECK(largest_difference(stored.dw, exact.dw) < limit);
  }
}

TEST_CASE("bf16 convolutions with bf16 products give the same bits for any number of threads", "[cpu][conv]") {
  const std::string set = GENERATE(from_range(bf16_kernel_sets()));
  CAPTURE(set);
  const Bf16Kernels kernels(set);
  const int before = num_threads();
  const ConvGeometry g = geometry(4, 40, 40, 24, 48, 3, 3, 1, 1);
  set_num_threads(1);
  const Passes one(g, DType::bf16);
  for (int threads : {2, 5}) {
    set_num_threads(threads);
    const Passes several(g, DType::bf16);
    CHECK(same_bits(one.y, several.y));
    CHECK(same_bits(one.dx, several.dx));
    CHECK(same_bits(one.dw, several.dw));
  }
  set_num_threads(before);
}

TEST_CASE("What is not a number stays so through bf16 products, with ReLU too", "[cpu][conv]") {
  const std::string set = GENERATE(from_range(bf16_kernel_sets()));
  CAPTURE(set);
  const Bf16Kernels kernels(set);
  const ConvGeometry g = geometry(1, 4, 4, 8, 32, 1, 1, 1, 0);
  const Tensor x = operand({1, 4, 4, 8}, 1, DType::bf16), w = operand({32, 1, 1, 8}, 2, DType::bf16),
               y = Tensor::empty({1, 4, 4, 32}, DType::bf16, Device::cpu);
  x.data<bf16>()[8 * 5 + 3] = formula::to_bf16(NAN);
  cpu::conv_forward_bf16(g, x, {w, nullptr}, {{}, {}, {}, true}, bytes(cpu::conv_workspace_bf16(g, ConvPass::forward)), y);
  for (int64_t i = 0; i < y.numel(); ++i) {
    CAPTURE(i);
    CHECK(std::isnan(formula::from_bf16(y.data<bf16>()[i])) == (i / 32 == 5));
  }
}
