#include "engine/cpu/conv_f32.h"

#include <algorithm>

#include "engine/cpu/conv_f32_filter.h"
#include "engine/cpu/conv_f32_prepared.h"
#include "engine/cpu/cpu_features.h"
#include "engine/cpu/winograd_f32.h"
#include "engine/cpu/winograd_f32_filter.h"
#include "engine/parallel.h"

namespace dura::cpu {
namespace {

int64_t round_up(int64_t floats) { return (floats + 15) / 16 * 16; }  // whole cache lines, so that workers share none

// How one forward or data-gradient pass is done, and what it takes from the workspace: first the workers' pieces, then the filter's form.
struct PassPlan {
  const KernelSet* set;
  std::vector<GatherGrid> grids;
  bool winograd;
  int64_t scratch_step = 0;
  std::vector<int64_t> form_offsets;  // of each grid
  int64_t form_floats = 0;

  int64_t form_begin() const { return num_threads() * scratch_step; }
  int64_t workspace_floats() const { return form_begin() + form_floats; }
};

PassPlan plan_pass(const ConvGeometry& g, bool backward) {
  PassPlan plan;
  plan.set = &kernels();
  if (backward) {
    plan.grids = backward_data_grids(g);
  } else {
    plan.grids.push_back(forward_grid(g));
  }
  plan.winograd = !exact_conv() && plan.grids.size() == 1 && winograd_pays(plan.grids[0]);
  for (const GatherGrid& grid : plan.grids) {
    const int64_t scratch = plan.winograd ? winograd_scratch_floats(*plan.set, grid) : direct_scratch_floats(*plan.set, grid);
    plan.scratch_step = std::max(plan.scratch_step, round_up(scratch));
    plan.form_offsets.push_back(plan.form_floats);
    plan.form_floats += round_up(plan.winograd ? winograd_filter_floats(*plan.set, grid) : panel_floats(*plan.set, grid));
  }
  return plan;
}

float* workspace_floats(const Tensor& workspace, int64_t floats, const char* what) {
  if (floats == 0) return nullptr;
  DURA_CHECK(workspace.defined() && workspace.bytes() >= static_cast<size_t>(floats) * sizeof(float), what, ": the workspace is ",
             describe(workspace), ", but ", floats * static_cast<int64_t>(sizeof(float)),
             " bytes are needed. Ask conv_workspace again when the number of threads or the CPU kernels have changed.");
  return static_cast<float*>(workspace.raw());
}

void run(const PassPlan& plan, const float* input, const float* form, const OutputRule& rule, float* scratch, float* output) {
  for (size_t i = 0; i < plan.grids.size(); ++i) {
    const GatherGrid& grid = plan.grids[i];
    if (plan.winograd) {
      run_winograd(*plan.set, grid, input, form, rule, scratch, plan.scratch_step, output);
    } else if (grid.depth() > 0 || !rule.accumulate) {
      run_direct(*plan.set, grid, input, form + plan.form_offsets[i], rule, scratch, plan.scratch_step, output);
    }
  }
}

const float* optional(const Tensor& t) { return t.defined() ? t.data<float>() : nullptr; }

FormKey key_of(const PassPlan& plan, const ConvGeometry& g) {
  FormKey key;
  key.form = plan.winograd ? FilterForm::winograd : FilterForm::panels;
  key.set = plan.set;
  key.stride = g.stride, key.padding = g.padding;
  key.floats = plan.form_floats;
  return key;
}

bool filter_by_winograd(const ConvGeometry& g) { return !exact_conv() && winograd_filter_gradient_pays(g); }

int64_t filter_pass_floats(const ConvGeometry& g) {
  return filter_by_winograd(g) ? winograd_filter_gradient_floats(kernels(), g) : filter_gradient_floats(kernels(), g);
}

}  // namespace

size_t conv_workspace_f32(const ConvGeometry& g, ConvPass pass) {
  const int64_t floats =
      pass == ConvPass::backward_filter ? filter_pass_floats(g) : plan_pass(g, pass == ConvPass::backward_data).workspace_floats();
  return static_cast<size_t>(floats) * sizeof(float);
}

void conv_forward_f32(const ConvGeometry& g, const Tensor& x, const Weight& w, const ConvEpilogue& e, const Tensor& workspace,
                      const Tensor& y) {
  const PassPlan plan = plan_pass(g, false);
  float* const space = workspace_floats(workspace, plan.workspace_floats(), "conv_forward");
  const float* filter = w.value.data<float>();
  const float* form = prepared_filter(w, {}, FormSlot::forward, key_of(plan, g), space + plan.form_begin(), [&](float* target) {
    if (plan.winograd) {
      transform_filter(*plan.set, plan.grids[0], false, filter, nullptr, target);
    } else {
      pack_forward_panels(*plan.set, plan.grids[0], filter, target);
    }
  });
  OutputRule rule;
  rule.scale = optional(e.scale), rule.bias = optional(e.bias), rule.residual = optional(e.residual), rule.relu = e.relu;
  run(plan, x.data<float>(), form, rule, space, y.data<float>());
}

void conv_backward_data_f32(const ConvGeometry& g, const Tensor& dy, const Weight& w, const FoldedScale& scale, const Tensor& workspace,
                            GradTarget dx) {
  const PassPlan plan = plan_pass(g, true);
  float* const space = workspace_floats(workspace, plan.workspace_floats(), "conv_backward_data");
  const float* filter = w.value.data<float>();
  const float* factors = optional(scale.scale);
  const float* form = prepared_filter(w, scale, FormSlot::backward_data, key_of(plan, g), space + plan.form_begin(), [&](float* target) {
    for (size_t i = 0; i < plan.grids.size(); ++i) {
      if (plan.winograd) {
        transform_filter(*plan.set, plan.grids[i], true, filter, factors, target);
      } else {
        pack_backward_panels(*plan.set, plan.grids[i], g, filter, factors, target + plan.form_offsets[i]);
      }
    }
  });
  OutputRule rule;
  rule.accumulate = dx.accumulate;
  run(plan, dy.data<float>(), form, rule, space, dx.tensor.data<float>());
}

void conv_backward_filter_f32(const ConvGeometry& g, const Tensor& x, const Tensor& dy, const Tensor& workspace, GradTarget dw) {
  float* const space = workspace_floats(workspace, filter_pass_floats(g), "conv_backward_filter");
  const auto compute = filter_by_winograd(g) ? winograd_filter_gradient : filter_gradient;
  compute(kernels(), g, x.data<float>(), dy.data<float>(), space, dw.accumulate, dw.tensor.data<float>());
}

}  // namespace dura::cpu
