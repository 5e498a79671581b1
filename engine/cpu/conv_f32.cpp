#include "engine/cpu/conv_f32.h"

#include <algorithm>

#include "engine/cpu/conv_f32_filter.h"
#include "engine/cpu/conv_f32_parts.h"
#include "engine/cpu/cpu_features.h"
#include "engine/cpu/packed_filter.h"
#include "engine/cpu/winograd_f32.h"

namespace dura::cpu {
namespace {

// How a forward pass or a data gradient is done, and what it takes from the workspace: first the workers' pieces, then the packed filter,
// then the copies.
struct PassPlan {
  ConvGeometry g;
  bool backward;
  Parts parts;
  const KernelSet& set = kernels();
  std::vector<GatherGrid> grids;  // of a part
  bool winograd;
  int64_t scratch_step = 0;
  std::vector<int64_t> filter_offsets;  // of each grid
  int64_t filter_floats = 0;

  PassPlan(const ConvGeometry& geometry, DType dtype, ConvPass pass)
      : g(geometry), backward(pass == ConvPass::backward_data), parts(g, dtype) {
    if (backward)
      grids = backward_data_grids(part());
    else
      grids = {forward_grid(part())};
    winograd = !exact_conv() && grids.size() == 1 && winograd_pays(grids[0]);
    for (const GatherGrid& grid : grids) {
      for (const int64_t images : {parts.images, parts.last()}) {
        GatherGrid sized = grid;
        sized.images = images;
        const int64_t scratch = winograd ? winograd_scratch_floats(set, sized) : direct_scratch_floats(set, sized);
        scratch_step = std::max(scratch_step, whole_lines(scratch));
      }
      filter_offsets.push_back(filter_floats);
      filter_floats += whole_lines(winograd ? winograd_filter_floats(set, grid) : panel_floats(set, grid));
    }
  }

  ConvGeometry part() const { return with_images(g, parts.images); }
  int64_t filter_begin() const { return num_threads() * scratch_step; }
  CopyLayout copies(DType dtype) const { return {part(), dtype, filter_begin() + filter_floats}; }
  FilterKey filter_key() const {
    return {.pass = backward ? ConvPass::backward_data : ConvPass::forward,
            .layout = winograd ? FilterLayout::winograd : FilterLayout::panels,
            .set = &set,
            .stride = g.stride,
            .padding = g.padding,
            .floats = filter_floats};
  }

  void pack(const float* filter, const float* scale, float* target) const {
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

  void run(int64_t images, const float* input, const float* filter, const EpiloguePointers& epilogue, float* scratch, float* output) const {
    for (size_t i = 0; i < grids.size(); ++i) {
      GridPass pass{set, grids[i], input, filter + filter_offsets[i], epilogue, scratch, scratch_step, output};
      pass.grid.images = images;
      if (winograd) {
        run_winograd(pass);
      } else if (pass.grid.depth() > 0 || !epilogue.accumulate) {
        run_direct(pass);
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

void run_pass(const char* kernel, const ConvGeometry& g, ConvPass pass, const PassTensors& t) {
  dispatch_stored(kernel, t.from.dtype(), [&]<class T>(T) {
    const PassPlan plan(g, t.from.dtype(), pass);
    const CopyLayout copies = plan.copies(t.from.dtype());
    float* const space = workspace_floats(t.workspace, copies.end, kernel);
    const float* filter = packed_filter(t.w, t.folded, plan.filter_key(), space + plan.filter_begin(), [&](float* target) {
      plan.pack(read_part(t.w.value.data<T>(), t.w.value.numel(), space + copies.filter), data_or_null<float>(t.folded.scale), target);
    });
    int64_t in_image = g.H * g.W * g.C, out_image = g.P * g.Q * g.K, input_copy = copies.x, output_copy = copies.y;
    if (plan.backward) std::swap(in_image, out_image), std::swap(input_copy, output_copy);
    const Epilogue& e = t.epilogue;
    EpiloguePointers pointers{data_or_null<float>(e.scale), data_or_null<float>(e.bias), nullptr, e.relu, t.to.accumulate};
    plan.parts.for_each([&](int64_t n, int64_t images) {
      const int64_t begin = n * out_image, count = images * out_image;
      T* const to = t.to.tensor.data<T>() + begin;
      float* const output = output_part(to, space + output_copy);
      // What is added is copied to where the output is computed: each element is read before it is written.
      if (e.residual.defined()) pointers.residual = read_part(e.residual.data<T>() + begin, count, output);
      if (t.to.accumulate) read_part(to, count, output);
      const float* input = read_part(t.from.data<T>() + n * in_image, images * in_image, space + input_copy);
      plan.run(images, input, filter, pointers, space, output);
      write_part(output, count, to);
    });
  });
}

// The filter gradient of a part, by one of two algorithms. Workspace: the algorithm's, then the copies; the sum takes the filter's place.
struct FilterPlan {
  Parts parts;
  ConvGeometry part;
  bool winograd;
  CopyLayout copies;

  FilterPlan(const ConvGeometry& g, DType dtype)
      : parts(g, dtype),
        part(with_images(g, parts.images)),
        winograd(!exact_conv() && winograd_pays(forward_grid(part))),
        copies(part, dtype, scratch_floats()) {}

 private:
  int64_t scratch_floats() const {
    const auto floats = winograd ? winograd_filter_gradient_floats : filter_gradient_floats;
    return whole_lines(std::max(floats(kernels(), part), floats(kernels(), with_images(part, parts.last()))));
  }
};

}  // namespace

size_t conv_workspace_f32(const ConvGeometry& g, DType dtype, ConvPass pass) {
  const CopyLayout copies = pass == ConvPass::backward_filter ? FilterPlan(g, dtype).copies : PassPlan(g, dtype, pass).copies(dtype);
  return static_cast<size_t>(copies.end) * sizeof(float);
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
  dispatch_stored("conv_backward_filter", x.dtype(), [&]<class T>(T) {
    const FilterPlan plan(g, x.dtype());
    float* const space = workspace_floats(workspace, plan.copies.end, "conv_backward_filter");
    T* const to = dw.tensor.data<T>();
    float* const sum = output_part(to, space + plan.copies.filter);
    if (dw.accumulate) read_part(to, dw.tensor.numel(), sum);
    const auto compute = plan.winograd ? winograd_filter_gradient : filter_gradient;
    const int64_t in_image = g.H * g.W * g.C, out_image = g.P * g.Q * g.K;
    plan.parts.for_each([&](int64_t n, int64_t images) {
      const float* const input = read_part(x.data<T>() + n * in_image, images * in_image, space + plan.copies.x);
      const float* const gradient = read_part(dy.data<T>() + n * out_image, images * out_image, space + plan.copies.y);
      compute(kernels(), with_images(g, images), input, gradient, space, dw.accumulate || n > 0, sum);
    });
    write_part(sum, dw.tensor.numel(), to);
  });
}

}  // namespace dura::cpu
