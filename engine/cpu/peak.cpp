#include "engine/cpu/peak.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "engine/base/parallel.h"
#include "engine/cpu/cpu_features.h"

namespace dura::cpu {
namespace {

constexpr size_t depth = 96;  // a panel of 32 columns: 12 KB in f32

// Runs block() often enough for one measurement on this thread; FLOP/s.
template <class F>
double rate_of(double flops, const F& block) {
  using Clock = std::chrono::steady_clock;
  constexpr int calls = 2000;
  const auto start = Clock::now();
  for (int i = 0; i < calls; ++i) block();
  return flops * calls / std::chrono::duration<double>(Clock::now() - start).count();
}

double f32_rate(const KernelSet& set) {
  const size_t rows = 2 * set.mr;
  std::vector<float> a(rows * depth, 1.0f), b(depth * set.nr, 1.0f), c(rows * set.nr);
  std::vector<ptrdiff_t> c_rows(rows);
  for (size_t i = 0; i < rows; ++i) c_rows[i] = static_cast<ptrdiff_t>(i * set.nr);
  BlockProduct p = {};
  p.rows = rows, p.cols = set.nr, p.depth = depth;
  p.a = a.data(), p.a_row = depth, p.a_depth = 1;
  p.b = b.data(), p.b_depth = static_cast<ptrdiff_t>(set.nr);
  p.first = p.last = 1, p.c = c.data(), p.c_rows = c_rows.data();
  return rate_of(2.0 * static_cast<double>(rows * set.nr * depth), [&] { set.block_product(&p); });
}

double bf16_rate(const Bf16Kernel& kernel) {
  const size_t rows = 2 * kernel.mr;
  std::vector<Bf16> a(rows * 2 * depth), b(depth * 2 * kernel.nr), c(rows * kernel.nr);
  std::vector<ptrdiff_t> c_rows(rows);
  for (size_t i = 0; i < rows; ++i) c_rows[i] = static_cast<ptrdiff_t>(i * kernel.nr);
  Bf16Product p = {};
  p.rows = rows, p.cols = kernel.nr, p.pairs = depth;
  p.a = a.data(), p.a_row = 2 * depth, p.a_pair = 2;
  p.b = b.data(), p.b_pair = static_cast<ptrdiff_t>(2 * kernel.nr);
  p.first = p.last = 1, p.c = c.data(), p.c_rows = c_rows.data(), p.epilogue.stored = stored_bf16;
  return rate_of(2.0 * static_cast<double>(rows * kernel.nr * 2 * depth), [&] { kernel.product(&p); });
}

}  // namespace

double measured_peak(DType stored) {
  const KernelSet& set = kernels();
  const bool bf16 = stored == DType::bf16 && set.bf16.product;
  double best = 0;
  for (int round = 0; round < 5; ++round) {
    std::vector<double> rates(static_cast<size_t>(num_threads()));
    parallel_for(num_threads(), [&](int64_t i) { rates[static_cast<size_t>(i)] = bf16 ? bf16_rate(set.bf16) : f32_rate(set); });
    double sum = 0;
    for (const double rate : rates) sum += rate;
    best = std::max(best, sum);
  }
  return best;
}

}  // namespace dura::cpu
