#include "apps/study/card_bound.h"

#include <algorithm>
#include <map>

#include "engine/base/numbers.h"

namespace dura {
namespace {

double numel(const Shape& s) { return static_cast<double>(s.numel()); }

// A convolution or dense layer in one of its three passes, with what the backend does before and behind it (engine/cuda/convolution.cu).
KernelCost convolution(const KernelCall& c) {
  const ConvGeometry& g = c.geometry;
  const double size = static_cast<double>(dtype_size(c.dtype)), images = static_cast<double>(g.N * g.H * g.W * g.C),
               outputs = static_cast<double>(g.N * g.P * g.Q * g.K), filter = static_cast<double>(g.K * g.R * g.S * g.C);
  KernelCost cost{.bytes = (images + outputs + filter) * size, .flop = 2 * static_cast<double>(c.macs), .launches = 1};
  if (c.key.residual) cost.bytes += outputs * size;
  if (c.key.accumulate) cost.bytes += (c.key.pass == ConvPass::backward_data ? images : filter) * size;
  if (c.key.scale) cost.bytes += 2 * filter * size, cost.launches += c.key.bias ? 2 : 1;
  // Channels are padded in a copy.
  const int64_t multiple = c.dtype == DType::f16 ? 4 : c.dtype == DType::bf16 ? 8 : 1;
  const double wide = static_cast<double>(round_up(g.C, multiple)) / static_cast<double>(g.C);
  if (wide > 1) {
    if (c.key.pass != ConvPass::backward_data) cost.bytes += 2 * wide * images * size, ++cost.launches;
    const bool folded_before = c.key.bias && !c.key.scale;
    if (!folded_before) cost.bytes += 2 * wide * filter * size, ++cost.launches;
  }
  return cost;
}

// `input`: elements of what was made last, which is what this kernel reads.
KernelCost cost_of(const KernelCall& c, double input, DType compute) {
  const double size = static_cast<double>(dtype_size(c.dtype)), n = numel(c.output);
  const auto elements = [&](double passes, int64_t launches = 1) { return KernelCost{.bytes = passes * n * size, .launches = launches}; };
  const auto is = [&](const char* kernel) { return c.kernel == kernel; };
  if (c.geometry.K > 0 && c.macs > 0) return convolution(c);
  // Statistics need one pass, and what is made of them another: no channel of a batch fits on the chip.
  if (is("batch_norm_training_forward")) {
    KernelCost cost = elements(3 + c.batch_norm.residual, 2);
    if (c.batch_norm.relu) cost.bytes += n / 8;
    return cost;
  }
  if (is("batch_norm_training_backward")) {
    KernelCost cost = elements(5 + c.batch_norm.writes_g);
    if (c.batch_norm.relu) cost.bytes += 2 * n / 8;
    return cost;
  }
  const double pooled = static_cast<double>(c.geometry.N * c.geometry.P * c.geometry.Q * c.geometry.C),
               whole = static_cast<double>(c.geometry.N * c.geometry.H * c.geometry.W * c.geometry.C);
  if (is("max_pool_forward") || is("max_pool_backward")) return {.bytes = whole * size + pooled * (size + 1), .launches = 1};
  if (is("upload")) return {};
  if (is("fill") || is("check_gradients") || is("global_mean_backward")) return elements(1, is("check_gradients") ? 2 : 1);
  if (is("global_mean_forward") || is("normalize")) return {.bytes = input * (is("normalize") ? 1 : size) + n * size, .launches = 1};
  if (is("add") || is("relu_backward") || is("mask_and_sum") || is("frozen_batch_norm_grads")) return elements(3);
  if (is("adam_update")) {
    // Weights and both moments are read and written; gradients are read, working copies written.
    const double stored = static_cast<double>(dtype_size(compute));
    return {.bytes = n * (6 * size + stored + (compute == c.dtype ? 0 : stored)), .launches = 2};
  }
  if (is("cross_entropy_forward")) return elements(2, 3);
  if (is("cross_entropy_backward")) return elements(2, 2);
  return elements(2);  // reads and writes what it makes
}

void add(KernelCost& to, const KernelCost& more) { to.bytes += more.bytes, to.flop += more.flop, to.launches += more.launches; }

}  // namespace

CardFigures card_figures(const std::string& name) {
  if (name == "h100") return {"H100", 3.35e12, 989e12, 494e12, 67e12};
  if (name == "h200") return {"H200", 4.8e12, 989e12, 494e12, 67e12};
  fail_usage("there are no figures of a card '", name, "'. Use h100 or h200.");
}

CardBound card_bound(const std::vector<KernelCall>& calls, DType compute, bool tf32, const CardFigures& card) {
  const double flop_rate = compute != DType::f32 ? card.flop_16 : tf32 ? card.flop_tf32 : card.flop_f32;
  std::map<std::string, CardBound::Line> by_kernel;
  CardBound bound{.card = card, .lines = {}, .total = {.kernel = "all", .cost = {}}};
  double input = 0;
  for (const KernelCall& c : calls) {
    const KernelCost cost = cost_of(c, input, compute);
    input = numel(c.output);
    const double seconds =
        std::max({cost.bytes / card.bytes_per_second, cost.flop / flop_rate, static_cast<double>(cost.launches) * seconds_per_launch});
    for (CardBound::Line* line : {&by_kernel[c.kernel], &bound.total}) {
      ++line->calls;
      add(line->cost, cost);
      line->seconds += seconds;
    }
  }
  for (auto& [kernel, line] : by_kernel) line.kernel = kernel, bound.lines.push_back(line);
  std::stable_sort(bound.lines.begin(), bound.lines.end(), [](const auto& a, const auto& b) { return a.seconds > b.seconds; });
  return bound;
}

std::string card_bound_text(const CardBound& bound, const std::string& what, int64_t batch) {
  Table lines = {{"kernel", "calls", "launches", "MB/image", "GFLOP/image", "ms at least", "%"}};
  const double images = static_cast<double>(batch);
  const auto row = [&](const CardBound::Line& l) {
    lines.push_back({l.kernel, std::to_string(l.calls), std::to_string(l.cost.launches), fixed(l.cost.bytes * 1e-6 / images, 2),
                     fixed(l.cost.flop * 1e-9 / images, 2), fixed(l.seconds * 1e3, 3), fixed(100 * l.seconds / bound.total.seconds, 1)});
  };
  for (const CardBound::Line& l : bound.lines) row(l);
  row(bound.total);
  // Kernels that wait for memory get 60 to 80 % of its rate where they are good.
  const double rate = images / bound.total.seconds;
  return concat(what, ", batch ", batch, ", on an ", bound.card.name, " at best (a bound, not a measurement)\n", text_table(lines),
                "  at most ", fixed(rate, 0), " images/s; ", fixed(0.6 * rate, 0), " to ", fixed(0.8 * rate, 0),
                " where everything runs at 60 to 80 % of the card's rates\n");
}

}  // namespace dura
