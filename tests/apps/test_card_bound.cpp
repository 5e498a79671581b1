// What a step needs on a card by its dry run, as numbers that a change must explain; and dura-bench --plan, which prints them without one.
#include "tests/support/catch.h"

#include "apps/study/benchmark.h"
#include "apps/study/card_bound.h"
#include "tests/support/run_program.h"

using namespace dura;

namespace {

CardBound bound_of(const std::string& mode, DType dtype, int64_t batch, const std::string& card = "h100") {
  BenchmarkOptions o{.mode = mode, .batch = batch, .tensors = {.compute = dtype, .device = Device::cuda_sim}};
  return card_bound(benchmark_kernels(o), dtype, false, card_figures(card));
}
double megabytes(const CardBound& b, int64_t batch) { return b.total.cost.bytes * 1e-6 / static_cast<double>(batch); }

}  // namespace

TEST_CASE("a step of ResNet-50 moves so many bytes for each image, and not more than it did", "[bound]") {
  const CardBound train = bound_of("train", DType::f16, 256);
  CHECK(std::abs(megabytes(train, 256) - 366.7) < 0.5);
  // 4.09 GFLOP of multiplications and additions each forward, and twice that backward but for the first layer's images.
  CHECK(std::abs(train.total.cost.flop / 256e9 - 24.3) < 0.2);
  CHECK(train.total.seconds >= train.total.cost.bytes / card_figures("h100").bytes_per_second);
  const CardBound on_h200 = bound_of("train", DType::f16, 256, "h200");
  CHECK(on_h200.total.seconds < train.total.seconds);
  CHECK(on_h200.total.cost.bytes == train.total.cost.bytes);
}

TEST_CASE("dura-bench --plan prints the bound of each kind of kernel without a card", "[bound][program]") {
  const test::ProgramRun run = test::run_program("dura-bench", {"--device", "cuda", "--plan", "--card", "h200", "--mode", "train", "inf",
                                                                "--precision", "f16", "--batch", "16", "--depth", "18", "--size", "64"});
  INFO(run.output);
  CHECK(run.code == 0);
  for (const char* part : {"train f16, batch 16, on an H200 at best (a bound, not a measurement)", "inf f16, batch 16",
                           "conv_backward_filter", "batch_norm_training_forward", "MB/image", "images/s"})
    CHECK_THAT(run.output, Catch::Contains(part));
  CHECK(test::run_program("dura-bench", {"--plan", "--card", "a100"}).code == 2);
}
