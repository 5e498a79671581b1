// Not a test: `dura_tests "[.bench]" -c avx512 -c "batch 16"` prints how fast the f32 convolutions of ResNet-50 are, layer by layer and in
// all.
#include "tests/support/catch.h"

#include <chrono>
#include <cstdio>

#include "engine/cpu/conv.h"
#include "engine/cpu/cpu_features.h"
#include "tests/engine/conv_f32_cases.h"

using namespace dura;
using namespace dura::conv_cases;

namespace {

// Shortest of several runs, in seconds: whatever else runs on the machine can only lengthen one.
template <class F>
double shortest(F&& f) {
  using Clock = std::chrono::steady_clock;
  double best = HUGE_VAL, total = 0.0;
  for (int run = 0; run < 50 && (run < 4 || total < 0.15); ++run) {
    const Clock::time_point start = Clock::now();
    f();
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    if (run > 0) best = std::min(best, seconds), total += seconds;  // the first one touches fresh memory
  }
  return best;
}

Tensor workspace(const ConvGeometry& g, ConvPass pass) {
  return Tensor::empty({static_cast<int64_t>(cpu::conv_workspace_f32(g, DType::f32, pass))}, DType::u8, Device::cpu);
}

void measure(int64_t batch) {
  std::printf("kernels %s, batch %d, %d threads: GFLOP/s (ms); shortest of several runs\n", cpu::kernels().name, static_cast<int>(batch),
              num_threads());
  std::printf("%-44s %5s  %16s  %16s  %16s  %16s\n", "layer", "times", "inference", "forward", "backward_data", "backward_filter");
  double total[4] = {};
  for (const Layer& layer : resnet50_layers()) {
    const Problem p(layer.at(batch, layer.size));
    const ConvGeometry& g = p.g;
    const Tensor y = Tensor::empty(p.dy.shape(), DType::f32, Device::cpu), dx = Tensor::empty(p.x.shape(), DType::f32, Device::cpu),
                 dw = Tensor::empty(p.w.shape(), DType::f32, Device::cpu);
    const Tensor scale = random_tensor({g.K}, 5), bias = random_tensor({g.K}, 6);
    const Tensor forward = workspace(g, ConvPass::forward), data = workspace(g, ConvPass::backward_data),
                 filter = workspace(g, ConvPass::backward_filter);
    PreparedWeight prepared;
    const double seconds[4] = {
        shortest([&] {
          cpu::conv_forward_f32(g, p.x, {p.w, &prepared}, {scale, bias, {}, true}, forward, y);
        }),
        shortest([&] {
          cpu::conv_forward_f32(g, p.x, {p.w, nullptr}, {}, forward, y);
        }),
        layer.C == 3 ? 0.0 : shortest([&] {
          cpu::conv_backward_data_f32(g, p.dy, {p.w, nullptr}, {}, data, {dx, false});
        }),
        shortest([&] {
          cpu::conv_backward_filter_f32(g, p.x, p.dy, filter, {dw, false});
        }),
    };
    std::printf("%-44s %5d", name(g).c_str(), static_cast<int>(layer.count));
    for (int i = 0; i < 4; ++i) {
      std::printf("  %6.0f (%6.2f)", seconds[i] > 0.0 ? 2e-9 * static_cast<double>(g.macs()) / seconds[i] : 0.0, 1e3 * seconds[i]);
      total[i] += static_cast<double>(layer.count) * seconds[i];
    }
    std::printf("\n");
  }
  const double images = static_cast<double>(batch);
  std::printf("all: inference %.1f ms (%.1f images/s); training %.1f + %.1f + %.1f ms (%.2f images/s)\n", 1e3 * total[0], images / total[0],
              1e3 * total[1], 1e3 * total[2], 1e3 * total[3], images / (total[1] + total[2] + total[3]));
}

}  // namespace

TEST_CASE("Speed of the f32 convolutions of ResNet-50", "[.bench]") {
  const std::string before = cpu::kernels().name;
  for (const std::string& set : cpu::available_kernel_sets()) {
    SECTION(set) {
      cpu::use_kernel_set(set);
      SECTION("batch 16") { measure(16); }
      SECTION("batch 1") { measure(1); }
    }
  }
  cpu::use_kernel_set(before);
}
