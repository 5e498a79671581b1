// Convolutions of tensors stored in f16 and bf16: the arithmetic of f32, rounded once.
#include "tests/support/catch.h"

#include <cmath>
#include <cstring>

#include "engine/cpu/conv.h"
#include "engine/core/formula.h"
#include "engine/base/parallel.h"
#include "engine/base/random.h"
#include "tests/engine/conv_f32_cases.h"

using namespace dura;
using namespace dura::conv_cases;

namespace {

Tensor random_tensor(const Shape& shape, uint64_t key, DType dtype) {
  const Tensor wide = Tensor::empty(shape, DType::f32, Device::cpu), stored = Tensor::empty(shape, dtype, Device::cpu);
  Random random(key);
  for (int64_t i = 0; i < wide.numel(); ++i) wide.data<float>()[i] = static_cast<float>(0.5 * random.normal());
  backend(Device::cpu).cast(wide, stored);
  return stored;
}

Tensor as_f32(const Tensor& t) {
  const Tensor wide = Tensor::empty(t.shape(), DType::f32, Device::cpu);
  backend(Device::cpu).cast(t, wide);
  return wide;
}

Tensor workspace_for(const ConvGeometry& g, DType dtype, ConvPass pass) {
  return Tensor::empty({static_cast<int64_t>(cpu::conv_workspace_f32(g, dtype, pass))}, DType::u8, Device::cpu);
}

// All three passes with everything that can be asked of them, from operands stored in `operands`, computed in `dtype`.
struct Passes {
  Tensor y, dx, dw;
  Passes(const ConvGeometry& g, DType operands, DType dtype) {
    const auto of = [&](const Shape& shape, uint64_t key) {
      const Tensor stored = random_tensor(shape, key, operands);
      return dtype == DType::f32 ? as_f32(stored) : stored;
    };
    const Shape in({g.N, g.H, g.W, g.C}), out({g.N, g.P, g.Q, g.K}), filter({g.K, g.R, g.S, g.C}), channels({g.K});
    const Tensor x = of(in, 1), w = of(filter, 2), dy = of(out, 3), residual = of(out, 4);
    const Tensor scale = random_tensor(channels, 5, DType::f32), bias = random_tensor(channels, 6, DType::f32);
    y = Tensor::empty(out, dtype, Device::cpu);
    cpu::conv_forward_f32(g, x, {w, nullptr}, {scale, bias, residual, true}, workspace_for(g, dtype, ConvPass::forward), y);
    dx = of(in, 7);
    cpu::conv_backward_data_f32(g, dy, {w, nullptr}, {scale, {}}, workspace_for(g, dtype, ConvPass::backward_data), {dx, true});
    dw = of(filter, 8);
    cpu::conv_backward_filter_f32(g, x, dy, workspace_for(g, dtype, ConvPass::backward_filter), {dw, true});
  }
};

// Relative to the largest value: sums of many terms have rounding errors of their size, whatever they add up to.
double largest_difference(const Tensor& stored, const Tensor& expected) {
  const Tensor found = as_f32(stored);
  double worst = 0, scale = 0;
  for (int64_t i = 0; i < expected.numel(); ++i) {
    const double e = static_cast<double>(expected.data<float>()[i]);
    worst = std::max(worst, std::abs(static_cast<double>(found.data<float>()[i]) - e));
    scale = std::max(scale, std::abs(e));
  }
  return worst / scale;
}

bool same_bits(const Tensor& a, const Tensor& b) { return a.bytes() == b.bytes() && std::memcmp(a.raw(), b.raw(), a.bytes()) == 0; }

}  // namespace

TEST_CASE("16-bit convolutions are f32's rounded once, also where the batch goes through in uneven parts", "[cpu][conv]") {
  // Parts of 4 and 3 images (3x3, by Winograd's algorithm), of 2, 2 and 1 (1x1, and with stride 2), of all at once (small).
  for (const ConvGeometry& g : {geometry(7, 56, 56, 64, 64, 3, 3, 1, 1), geometry(5, 56, 56, 64, 256, 1, 1, 1, 0),
                                geometry(5, 80, 80, 64, 96, 3, 3, 2, 1), geometry(3, 5, 4, 3, 2, 3, 3, 2, 1)})
    for (const auto& [dtype, half_ulp] : {std::pair{DType::f16, 0x1p-11}, std::pair{DType::bf16, 0x1p-8}}) {
      CAPTURE(name(g), dtype_name(dtype));
      const Passes stored(g, dtype, dtype), exact(g, dtype, DType::f32);
      const double limit = 1.01 * half_ulp + 1e-5;
      CHECK(largest_difference(stored.y, exact.y) < limit);
      CHECK(largest_difference(stored.dx, exact.dx) < limit);
      CHECK(largest_difference(stored.dw, exact.dw) < limit);
    }
}

TEST_CASE("16-bit convolutions give the same bits for any number of threads", "[cpu][conv]") {
  const ConvGeometry g = geometry(7, 56, 56, 64, 64, 3, 3, 1, 1);
  const int before = num_threads();
  set_num_threads(1);
  const Passes one(g, DType::f16, DType::f16);
  for (int threads : {2, 5}) {
    set_num_threads(threads);
    const Passes several(g, DType::f16, DType::f16);
    CHECK(same_bits(one.y, several.y));
    CHECK(same_bits(one.dx, several.dx));
    CHECK(same_bits(one.dw, several.dw));
  }
  set_num_threads(before);
}

TEST_CASE("16-bit convolutions copy no image: they take the workspace of f32, a block of each worker and the sums of a filter",
          "[cpu][conv]") {
  for (const Layer& layer : resnet50_layers()) {
    const ConvGeometry g = layer.at(16, layer.size);
    const size_t filter = static_cast<size_t>(g.K * g.R * g.S * g.C) * sizeof(float), block = size_t{512} << 10;
    for (const ConvPass pass : {ConvPass::forward, ConvPass::backward_data, ConvPass::backward_filter}) {
      CAPTURE(name(g));
      CHECK(cpu::conv_workspace_f32(g, DType::f16, pass) <=
            cpu::conv_workspace_f32(g, DType::f32, pass) + filter + static_cast<size_t>(num_threads()) * block);
    }
  }
}
