// How fast a step could be on a card at best, from its dry run: what each kernel must read and write at the memory's full rate, what it
// must multiply at the tensor cores' full rate, and what a launch costs. A bound, not a prediction: no kernel reaches it.
#pragma once
#include <string>
#include <vector>

#include "apps/program/text_table.h"
#include "engine/plan/meta_backend.h"

namespace dura {

// The maker's figures for the SXM form.
struct CardFigures {
  std::string name;
  double bytes_per_second = 0;
  double flop_16 = 0, flop_tf32 = 0, flop_f32 = 0;  // FLOP/s without sparsity: f16 and bf16, TF32, f32
};
CardFigures card_figures(const std::string& name);  // "h100" or "h200"; UsageError otherwise

// From the start of one kernel of a replayed graph to the start of the next, where they do nothing; assumed.
inline constexpr double seconds_per_launch = 2e-6;

// What one kernel of the CUDA backend needs.
struct KernelCost {
  double bytes = 0, flop = 0;  // in device memory; of products, an addition and a multiplication each
  int64_t launches = 0;
};

struct CardBound {
  CardFigures card;
  struct Line {
    std::string kernel;
    int64_t calls = 0;
    KernelCost cost;
    double seconds = 0;
  };
  std::vector<Line> lines;  // one for each kind of kernel, the longest first
  Line total;
};

// `calls`: of a dry run on a CUDA device. `compute`: what activations, gradients and working weights are stored in. A call takes the
// longest of its three times.
CardBound card_bound(const std::vector<KernelCall>& calls, DType compute, bool tf32, const CardFigures& card);

// A row for each kind of kernel with sums below, and images/s. `what`: "train f16".
std::string card_bound_text(const CardBound& bound, const std::string& what, int64_t batch);

}  // namespace dura
