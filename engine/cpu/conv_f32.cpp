#include "engine/cpu/conv.h"

#include <algorithm>

#include "engine/base/parallel.h"
#include "engine/cpu/conv_f32_filter.h"
#include "engine/cpu/cpu_features.h"
#include "engine/cpu/element.h"
#include "engine/cpu/packed_filter.h"
#include "engine/cpu/winograd_f32.h"

namespace dura::cpu {
namespace {

// How a forward pass or a data gradient is done, and what it takes from the workspace: first the workers' pieces, then what they share,
// then the packed filter.
struct PassPlan {
  ConvGeometry g;
  bool backward;
  const KernelSet& set = kernels();
  std::vector<GatherGrid> grids;
  bool winograd;
  int64_t scratch_step = 0, shared_floats = 0;
  std::vector<int64_t> filter_offsets;  // of each grid
  int64_t filter_floats = 0;

  PassPlan(const ConvGeometry& geometry, Stored stored, ConvPass pass)
      : g(geometry), backward(pass == ConvPass::backward_data), winograd(uses_winograd(g, pass)) {
    if (backward)
      grids = backward_data_grids(g);
    else
      grids = {forward_grid(g)};
    for (const GatherGrid& grid : grids) {
      const int64_t scratch = winograd ? winograd_scratch_floats(set, grid) : direct_scratch_floats(set, grid, stored);
      scratch_step = std::max(scratch_step, whole_lines(scratch));
      if (!winograd) shared_floats = std::max(shared_floats, whole_lines(direct_shared_floats(set, grid, stored)));
      filter_offsets.push_back(filter_floats);
      filter_floats += whole_lines(winograd ? winograd_filter_floats(set, grid) : panel_floats(set, grid));
    }
  }

  int64_t shared_begin() const { return num_threads() * scratch_step; }
  int64_t filter_begin() const { return shared_begin() + shared_floats; }
  int64_t floats() const { return filter_begin() + filter_floats; }
  FilterKey filter_key() const {
    return {.pass = backward ? ConvPass::backward_data : ConvPass::forward,
            .layout = winograd ? FilterLayout::winograd : FilterLayout::panels,
            .set = &set,
            .stride = g.stride,
            .padding = g.padding,
            .floats = filter_floats};
  }

  template <class T>
  void pack(const T* filter, const float* scale, float* target) const {
    for (size_t i = 0; i < grids.size(); ++i) {
      if (winograd) {
        transform_filter(set, grids[i], backward, filter, scale, target);
      } else if (backward) {
        pack_backward_panels(set, grids[i], g, filter, scale, target + filter_offsets[i]);
      } else {
        pack_forward_panels(set, grids[i], filter, target);
      }
    }
  }
};

float* workspace_floats(const Tensor& workspace, int64_t floats, const char* what) {
  if (floats == 0) return nullptr;
  DURA_CHECK(workspace.defined() && workspace.bytes() >= static_cast<size_t>(floats) * sizeof(float), what, ": the workspace is ",
             describe(workspace), ", but ", floats * static_cast<int64_t>(sizeof(float)),
             " bytes are needed. Ask conv_workspace again when the number of threads or the CPU kernels have changed.");
  return static_cast<float*>(workspace.raw());
}

// What a forward pass or a data gradient reads and writes.
struct PassTensors {
  const Tensor& from;
  const Weight& w;
  const FoldedScale& folded;
  const Epilogue& epilogue;
  const Tensor& workspace;
  GradTarget to;
};

StoredPointer pointer(const Tensor& t) { return {t.defined() ? t.raw() : nullptr, stored_as(t.defined() ? t.dtype() : DType::f32)}; }

void run_pass(const char* kernel, const ConvGeometry& g, ConvPass pass, const PassTensors& t) {
  const Stored stored = stored_as(t.from.dtype());
  const PassPlan plan(g, stored, pass);
  float* const space = workspace_floats(t.workspace, plan.floats(), kernel);
  const PackedFilter filter = packed_filter(t.w, t.folded, plan.filter_key(), space + plan.filter_begin(), [&](float* target) {
    dispatch_floating(kernel, t.from.dtype(), [&]<class T>(T) {
      if constexpr (!std::is_same_v<T, double>) plan.pack(t.w.value.data<T>(), data_or_null<float>(t.folded.scale), target);
    });
  });
  const Epilogue& e = t.epilogue;
  const EpiloguePointers epilogue{.scale = data_or_null<float>(e.scale),
                                  .bias = data_or_null<float>(e.bias),
                                  .residual = pointer(e.residual).data,
                                  .stored = stored,
                                  .relu = e.relu,
                                  .accumulate = t.to.accumulate,
                                  .stream = stored == stored_f32 && !t.to.accumulate && is_streamed(t.to.tensor)};
  for (size_t i = 0; i < plan.grids.size(); ++i) {
    const GridPass grid_pass{.set = plan.set,
                             .grid = plan.grids[i],
                             .input = pointer(t.from),
                             .filter = filter.data + plan.filter_offsets[i],
                             .epilogue = epilogue,
                             .scratch = space,
                             .scratch_step = plan.scratch_step,
                             .shared = space + plan.shared_begin(),
                             .output = t.to.tensor.raw()};
    if (plan.winograd) {
      run_winograd(grid_pass);
    } else if (grid_pass.grid.depth() > 0 || !epilogue.accumulate) {
      run_direct(grid_pass);
    }
  }
}

// Floats of the filter gradient's algorithm; behind them, for a gradient stored in 16 bits, its sums.
int64_t filter_sums_begin(const ConvGeometry& g, Stored stored) {
  return whole_lines(uses_winograd(g, ConvPass::backward_filter) ? winograd_filter_gradient_floats(kernels(), g)
                                                                 : filter_gradient_floats(kernels(), g, stored));
}
int64_t filter_gradient_workspace(const ConvGeometry& g, Stored stored) {
  return filter_sums_begin(g, stored) + (stored == stored_f32 ? 0 : g.K * g.R * g.S * g.C);
}

}  // namespace

bool uses_winograd(const ConvGeometry& g, ConvPass pass) {
  if (exact_conv()) return false;
  if (pass != ConvPass::backward_data) return winograd_pays(forward_grid(g));
  const std::vector<GatherGrid> grids = backward_data_grids(g);
  return grids.size() == 1 && winograd_pays(grids[0]);
}

size_t conv_workspace_f32(const ConvGeometry& g, DType dtype, ConvPass pass) {
  const Stored stored = stored_as(dtype);
  const int64_t floats = pass == ConvPass::backward_filter ? filter_gradient_workspace(g, stored) : PassPlan(g, stored, pass).floats();
  return static_cast<size_t>(floats) * sizeof(float);
}

void conv_forward_f32(const ConvGeometry& g, const Tensor& x, const Weight& w, const Epilogue& e, const Tensor& workspace,
                      const Tensor& y) {
  run_pass("conv_forward", g, ConvPass::forward, {x, w, {}, e, workspace, {y, false}});
}

void conv_backward_data_f32(const ConvGeometry& g, const Tensor& dy, const Weight& w, const FoldedScale& scale, const Tensor& workspace,
                            GradTarget dx) {
  run_pass("conv_backward_data", g, ConvPass::backward_data, {dy, w, scale, {}, workspace, dx});
}

void conv_backward_filter_f32(const ConvGeometry& g, const Tensor& x, const Tensor& dy, const Tensor& workspace, GradTarget dw) {
  const Stored stored = stored_as(x.dtype());
  float* const space = workspace_floats(workspace, filter_gradient_workspace(g, stored), "conv_backward_filter");
  const auto compute = uses_winograd(g, ConvPass::backward_filter) ? winograd_filter_gradient : filter_gradient;
  if (stored == stored_f32) return compute(kernels(), g, pointer(x), pointer(dy), space, dw.accumulate, dw.tensor.data<float>());
  float* const sum = space + filter_sums_begin(g, stored);
  compute(kernels(), g, pointer(x), pointer(dy), space, false, sum);
  write_sums(sum, dw);
}

void write_sums(const float* sums, GradTarget to) {
  dispatch_floating("conv_backward_filter", to.tensor.dtype(), [&]<class T>(T) {
    T* const target = to.tensor.data<T>();
    parallel_ranges(to.tensor.numel(), grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) put(target, i, static_cast<typename Element<T>::Compute>(sums[i]), to.accumulate);
    });
  });
}

}  // namespace dura::cpu
