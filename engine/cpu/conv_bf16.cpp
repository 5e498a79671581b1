#include "engine/cpu/conv.h"

#include <algorithm>

#include "engine/base/numbers.h"
#include "engine/base/parallel.h"
#include "engine/cpu/bf16_product.h"
#include "engine/cpu/packed_filter.h"
#include "engine/cpu/cpu_features.h"
#include "engine/cpu/element.h"
#include "engine/cpu/winograd_f32.h"

namespace dura::cpu {
namespace {

constexpr int64_t line = 64;  // bytes of a cache line: workers share none

const Bf16* bits(const Tensor& t) { return t.defined() ? reinterpret_cast<const Bf16*>(t.data<bf16>()) : nullptr; }
Bf16* writable_bits(const Tensor& t) { return reinterpret_cast<Bf16*>(t.data<bf16>()); }
const float* floats(const Tensor& t) { return t.defined() ? t.data<float>() : nullptr; }

// What a forward or data-gradient pass takes from the workspace: first the workers' pieces, then the packed filter.
struct PassPlan {
  std::vector<GatherGrid> grids;
  std::vector<int64_t> panel_offsets;  // of each grid, in elements
  int64_t scratch_step = 0, panel_elements = 0;

  PassPlan(const ConvGeometry& g, bool backward) {
    if (backward) {
      grids = backward_data_grids(g);
    } else {
      grids.push_back(forward_grid(g));
    }
    for (const GatherGrid& grid : grids) {
      scratch_step = std::max(scratch_step, round_up(bf16_scratch_bytes(kernels().bf16, grid), line));
      panel_offsets.push_back(panel_elements);
      panel_elements += round_up(bf16_panel_elements(kernels().bf16, grid), line);
    }
  }
  int64_t panels_begin() const { return num_threads() * scratch_step; }
  int64_t bytes() const { return panels_begin() + panel_elements * static_cast<int64_t>(sizeof(Bf16)); }
  FilterKey key(const ConvGeometry& g, ConvPass pass) const {
    return {.pass = pass,
            .layout = FilterLayout::bf16_pairs,
            .set = &kernels(),
            .stride = g.stride,
            .padding = g.padding,
            .floats = panel_elements / 2};
  }
};

char* workspace_bytes(const Tensor& workspace, int64_t bytes, const char* what) {
  if (bytes == 0) return nullptr;
  DURA_CHECK(workspace.defined() && workspace.bytes() >= static_cast<size_t>(bytes), what, ": the workspace is ", describe(workspace),
             ", but ", bytes, " bytes are needed. Ask conv_workspace again when the number of threads or the CPU kernels have changed.");
  return static_cast<char*>(workspace.raw());
}

// The filter gradient's f32 sums lie behind what its product needs.
int64_t filter_sums_begin(const ConvGeometry& g) { return round_up(bf16_filter_gradient_bytes(kernels().bf16, g), line); }
int64_t filter_bytes(const ConvGeometry& g) { return filter_sums_begin(g) + g.K * g.R * g.S * g.C * static_cast<int64_t>(sizeof(float)); }

}  // namespace

bool computes_in_bf16(const ConvGeometry& g, DType dtype, ConvPass pass) {
  if (dtype != DType::bf16 || kernels().bf16.product == nullptr) return false;
  // Winograd's transformed filter in f32 is eight times as large as the filter: it must fit into a last-level cache to be worth it.
  constexpr int64_t cached_floats = int64_t{4} << 20;
  return !uses_winograd(g, pass) || winograd_filter_floats(kernels(), forward_grid(g)) > cached_floats;
}

size_t conv_workspace_bf16(const ConvGeometry& g, ConvPass pass) {
  return static_cast<size_t>(pass == ConvPass::backward_filter ? filter_bytes(g) : PassPlan(g, pass == ConvPass::backward_data).bytes());
}

void conv_forward_bf16(const ConvGeometry& g, const Tensor& x, const Weight& w, const Epilogue& e, const Tensor& workspace,
                       const Tensor& y) {
  const PassPlan plan(g, false);
  char* const space = workspace_bytes(workspace, plan.bytes(), "conv_forward");
  const PackedFilter panels = packed_filter(
      w, {}, plan.key(g, ConvPass::forward), reinterpret_cast<float*>(space + plan.panels_begin()),
      [&](float* target) { pack_forward_bf16(kernels().bf16, plan.grids[0], bits(w.value), reinterpret_cast<Bf16*>(target)); });
  run_bf16({.kernel = kernels().bf16,
            .grid = plan.grids[0],
            .input = bits(x),
            .filter = reinterpret_cast<const Bf16*>(panels.data),
            .epilogue = {.scale = floats(e.scale),
                         .bias = floats(e.bias),
                         .residual = bits(e.residual),
                         .stored = stored_bf16,
                         .relu = e.relu,
                         .accumulate = 0,
                         .stream = is_streamed(y)},
            .scratch = space,
            .scratch_step = plan.scratch_step,
            .output = writable_bits(y)});
}

void conv_backward_data_bf16(const ConvGeometry& g, const Tensor& dy, const Weight& w, const FoldedScale& scale, const Tensor& workspace,
                             GradTarget dx) {
  const PassPlan plan(g, true);
  char* const space = workspace_bytes(workspace, plan.bytes(), "conv_backward_data");
  const PackedFilter panels = packed_filter(w, scale, plan.key(g, ConvPass::backward_data),
                                            reinterpret_cast<float*>(space + plan.panels_begin()), [&](float* target) {
                                              for (size_t i = 0; i < plan.grids.size(); ++i)
                                                pack_backward_bf16(kernels().bf16, plan.grids[i], g, bits(w.value), floats(scale.scale),
                                                                   reinterpret_cast<Bf16*>(target) + plan.panel_offsets[i]);
                                            });
  EpiloguePointers rule = {};
  rule.stored = stored_bf16, rule.accumulate = dx.accumulate;
  rule.stream = !dx.accumulate && is_streamed(dx.tensor);
  for (size_t i = 0; i < plan.grids.size(); ++i)
    if (plan.grids[i].depth() > 0 || !dx.accumulate)
      run_bf16({.kernel = kernels().bf16,
                .grid = plan.grids[i],
                .input = bits(dy),
                .filter = reinterpret_cast<const Bf16*>(panels.data) + plan.panel_offsets[i],
                .epilogue = rule,
                .scratch = space,
                .scratch_step = plan.scratch_step,
                .output = writable_bits(dx.tensor)});
}

void conv_backward_filter_bf16(const ConvGeometry& g, const Tensor& x, const Tensor& dy, const Tensor& workspace, GradTarget dw) {
  char* const space = workspace_bytes(workspace, filter_bytes(g), "conv_backward_filter");
  float* const sum = reinterpret_cast<float*>(space + filter_sums_begin(g));
  bf16_filter_gradient(kernels().bf16, g, bits(x), bits(dy), space, false, sum);
  write_sums(sum, dw);
}

}  // namespace dura::cpu
