#include "engine/cpu/conv_f32.h"

#include <algorithm>
#include <type_traits>

#include "engine/cpu/conv_f32_filter.h"
#include "engine/cpu/conv_f32_prepared.h"
#include "engine/cpu/cpu_features.h"
#include "engine/cpu/element.h"
#include "engine/cpu/winograd_f32.h"
#include "engine/cpu/winograd_f32_filter.h"
#include "engine/base/parallel.h"

namespace dura::cpu {
namespace {

int64_t round_up(int64_t floats) { return (floats + 15) / 16 * 16; }  // whole cache lines, so that workers share none

// The images that go through f32 copies at a time, by the shape alone: all where no copies are needed, else what 8 MiB hold, in parts as
// equal as can be.
struct Parts {
  int64_t images = 0, whole = 0;  // of a part, of all; the last part may be smaller
  Parts(const ConvGeometry& g, DType dtype) : images(g.N), whole(g.N) {
    constexpr int64_t copied_floats = int64_t{2} << 20;
    const int64_t image = std::max<int64_t>(1, g.H * g.W * g.C + g.P * g.Q * g.K);
    if (dtype != DType::f32) images = std::clamp<int64_t>(copied_floats / image, 1, std::max<int64_t>(1, g.N));
    const int64_t count = images == 0 ? 0 : (whole + images - 1) / images;
    if (count > 0) images = (whole + count - 1) / count;
  }
  int64_t last() const { return images == 0 ? 0 : whole - (whole - 1) / images * images; }
  // f(first image, number of images)
  template <class F>
  void for_each(F&& f) const {
    for (int64_t n = 0; n < whole; n += images) f(n, std::min(images, whole - n));
  }
};

ConvGeometry with_images(ConvGeometry g, int64_t images) {
  g.N = images;
  return g;
}

// A part of a tensor as floats: the elements themselves where they are, else a copy in `space`.
template <class T>
const float* read_part(const T* from, int64_t count, float* space) {
  if constexpr (std::is_same_v<T, float>) {
    return from;
  } else {
    parallel_ranges(count, grain, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) space[i] = Element<T>::load(from[i]);
    });
    return space;
  }
}
// Where to compute a part of an output, and the way from there to its place.
template <class T>
float* output_part(T* to, float* space) {
  if constexpr (std::is_same_v<T, float>) {
    return to;
  } else {
    return space;
  }
}
template <class T>
void write_part(const float* computed, int64_t count, T* to) {
  if constexpr (!std::is_same_v<T, float>)
    parallel_ranges(count, grain, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) to[i] = Element<T>::store(computed[i]);
    });
}

// Calls f with a value of the storage type, one that is computed with in f32.
template <class F>
void dispatch_stored(const char* kernel, DType dtype, F&& f) {
  dispatch_floating(kernel, dtype, [&]<class T>(T value) {
    if constexpr (std::is_same_v<T, double>) {
      fail(kernel, ": f64 is computed elsewhere");
    } else {
      f(value);
    }
  });
}

// Where the f32 copies begin, in floats: of the filter, of a part's input, of a part's output. Nothing for tensors in f32.
struct CopyLayout {
  int64_t filter, input, output, end;
  CopyLayout(const ConvGeometry& part, DType dtype, int64_t begin, int64_t in_image, int64_t out_image) {
    const bool copies = dtype != DType::f32;
    filter = begin;
    input = filter + (copies ? round_up(part.K * part.R * part.S * part.C) : 0);
    output = input + (copies ? round_up(part.N * in_image) : 0);
    end = output + (copies ? round_up(part.N * out_image) : 0);
  }
};

// How one forward or data-gradient pass is done, and what it takes from the workspace: first the workers' pieces, then the filter's form,
// then the copies.
struct PassPlan {
  const KernelSet* set;
  std::vector<GatherGrid> grids;  // of a part
  bool winograd;
  int64_t scratch_step = 0;
  std::vector<int64_t> form_offsets;  // of each grid
  int64_t form_floats = 0;

  int64_t form_begin() const { return num_threads() * scratch_step; }
  int64_t copies_begin() const { return form_begin() + form_floats; }
};

PassPlan plan_pass(const ConvGeometry& g, const Parts& parts, bool backward) {
  const ConvGeometry part = with_images(g, parts.images);
  PassPlan plan;
  plan.set = &kernels();
  if (backward) {
    plan.grids = backward_data_grids(part);
  } else {
    plan.grids.push_back(forward_grid(part));
  }
  plan.winograd = !exact_conv() && plan.grids.size() == 1 && winograd_pays(plan.grids[0]);
  for (const GatherGrid& grid : plan.grids) {
    for (const int64_t images : {parts.images, parts.last()}) {
      GatherGrid sized = grid;
      sized.images = images;
      const int64_t scratch = plan.winograd ? winograd_scratch_floats(*plan.set, sized) : direct_scratch_floats(*plan.set, sized);
      plan.scratch_step = std::max(plan.scratch_step, round_up(scratch));
    }
    plan.form_offsets.push_back(plan.form_floats);
    plan.form_floats += round_up(plan.winograd ? winograd_filter_floats(*plan.set, grid) : panel_floats(*plan.set, grid));
  }
  return plan;
}

CopyLayout copies_of(const PassPlan& plan, const ConvGeometry& part, DType dtype, bool backward) {
  const int64_t x = part.H * part.W * part.C, y = part.P * part.Q * part.K;
  return {part, dtype, plan.copies_begin(), backward ? y : x, backward ? x : y};
}

float* workspace_floats(const Tensor& workspace, int64_t floats, const char* what) {
  if (floats == 0) return nullptr;
  DURA_CHECK(workspace.defined() && workspace.bytes() >= static_cast<size_t>(floats) * sizeof(float), what, ": the workspace is ",
             describe(workspace), ", but ", floats * static_cast<int64_t>(sizeof(float)),
             " bytes are needed. Ask conv_workspace again when the number of threads or the CPU kernels have changed.");
  return static_cast<float*>(workspace.raw());
}

void run(const PassPlan& plan, int64_t images, const float* input, const float* form, const OutputRule& rule, float* scratch,
         float* output) {
  for (size_t i = 0; i < plan.grids.size(); ++i) {
    GatherGrid grid = plan.grids[i];
    grid.images = images;
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

// The filter gradient of a part, by one of two forms. Workspace: the form's, then the copies, of which the "filter" is the sum.
struct FilterPass {
  Parts parts;
  ConvGeometry part;
  bool winograd;
  int64_t scratch = 0;
  CopyLayout copies;

  FilterPass(const ConvGeometry& g, DType dtype)
      : parts(g, dtype),
        part(with_images(g, parts.images)),
        winograd(!exact_conv() && winograd_pays(forward_grid(part))),
        scratch(scratch_floats(part)),
        copies(part, dtype, scratch, g.H * g.W * g.C, g.P * g.Q * g.K) {}

 private:
  int64_t scratch_floats(const ConvGeometry& g) const {
    const auto floats = winograd ? winograd_filter_gradient_floats : filter_gradient_floats;
    return round_up(std::max(floats(kernels(), g), floats(kernels(), with_images(g, parts.last()))));
  }
};

}  // namespace

size_t conv_workspace_f32(const ConvGeometry& g, DType dtype, ConvPass pass) {
  const auto bytes = [](int64_t floats) { return static_cast<size_t>(floats) * sizeof(float); };
  if (pass == ConvPass::backward_filter) return bytes(FilterPass(g, dtype).copies.end);
  const Parts parts(g, dtype);
  const bool backward = pass == ConvPass::backward_data;
  return bytes(copies_of(plan_pass(g, parts, backward), with_images(g, parts.images), dtype, backward).end);
}

void conv_forward_f32(const ConvGeometry& g, const Tensor& x, const Weight& w, const ConvEpilogue& e, const Tensor& workspace,
                      const Tensor& y) {
  dispatch_stored("conv_forward", x.dtype(), [&]<class T>(T) {
    const Parts parts(g, x.dtype());
    const PassPlan plan = plan_pass(g, parts, false);
    const CopyLayout copies = copies_of(plan, with_images(g, parts.images), x.dtype(), false);
    float* const space = workspace_floats(workspace, copies.end, "conv_forward");
    const float* form = prepared_filter(w, {}, FormSlot::forward, key_of(plan, g), space + plan.form_begin(), [&](float* target) {
      const float* filter = read_part(w.value.data<T>(), w.value.numel(), space + copies.filter);
      if (plan.winograd) {
        transform_filter(*plan.set, plan.grids[0], false, filter, nullptr, target);
      } else {
        pack_forward_panels(*plan.set, plan.grids[0], filter, target);
      }
    });
    const int64_t in_image = g.H * g.W * g.C, out_image = g.P * g.Q * g.K;
    parts.for_each([&](int64_t n, int64_t images) {
      T* const to = y.data<T>() + n * out_image;
      float* const output = output_part(to, space + copies.output);
      OutputRule rule;
      rule.scale = optional(e.scale), rule.bias = optional(e.bias), rule.relu = e.relu;
      // The copy of the residual lies where the output is computed: each element is read before it is written.
      if (e.residual.defined()) rule.residual = read_part(e.residual.data<T>() + n * out_image, images * out_image, output);
      run(plan, images, read_part(x.data<T>() + n * in_image, images * in_image, space + copies.input), form, rule, space, output);
      write_part(output, images * out_image, to);
    });
  });
}

void conv_backward_data_f32(const ConvGeometry& g, const Tensor& dy, const Weight& w, const FoldedScale& scale, const Tensor& workspace,
                            GradTarget dx) {
  dispatch_stored("conv_backward_data", dy.dtype(), [&]<class T>(T) {
    const Parts parts(g, dy.dtype());
    const PassPlan plan = plan_pass(g, parts, true);
    const CopyLayout copies = copies_of(plan, with_images(g, parts.images), dy.dtype(), true);
    float* const space = workspace_floats(workspace, copies.end, "conv_backward_data");
    const float* factors = optional(scale.scale);
    const float* form = prepared_filter(w, scale, FormSlot::backward_data, key_of(plan, g), space + plan.form_begin(), [&](float* target) {
      const float* filter = read_part(w.value.data<T>(), w.value.numel(), space + copies.filter);
      for (size_t i = 0; i < plan.grids.size(); ++i) {
        if (plan.winograd) {
          transform_filter(*plan.set, plan.grids[i], true, filter, factors, target);
        } else {
          pack_backward_panels(*plan.set, plan.grids[i], g, filter, factors, target + plan.form_offsets[i]);
        }
      }
    });
    const int64_t in_image = g.P * g.Q * g.K, out_image = g.H * g.W * g.C;
    parts.for_each([&](int64_t n, int64_t images) {
      T* const to = dx.tensor.data<T>() + n * out_image;
      float* const output = output_part(to, space + copies.output);
      OutputRule rule;
      rule.accumulate = dx.accumulate;
      if (dx.accumulate) read_part(to, images * out_image, output);
      run(plan, images, read_part(dy.data<T>() + n * in_image, images * in_image, space + copies.input), form, rule, space, output);
      write_part(output, images * out_image, to);
    });
  });
}

void conv_backward_filter_f32(const ConvGeometry& g, const Tensor& x, const Tensor& dy, const Tensor& workspace, GradTarget dw) {
  dispatch_stored("conv_backward_filter", x.dtype(), [&]<class T>(T) {
    const FilterPass pass(g, x.dtype());
    float* const space = workspace_floats(workspace, pass.copies.end, "conv_backward_filter");
    T* const to = dw.tensor.data<T>();
    float* const sum = output_part(to, space + pass.copies.filter);
    if (dw.accumulate) read_part(to, dw.tensor.numel(), sum);
    const auto compute = pass.winograd ? winograd_filter_gradient : filter_gradient;
    const int64_t in_image = g.H * g.W * g.C, out_image = g.P * g.Q * g.K;
    pass.parts.for_each([&](int64_t n, int64_t images) {
      const float* const input = read_part(x.data<T>() + n * in_image, images * in_image, space + pass.copies.input);
      const float* const gradient = read_part(dy.data<T>() + n * out_image, images * out_image, space + pass.copies.output);
      compute(kernels(), with_images(g, images), input, gradient, space, dw.accumulate || n > 0, sum);
    });
    write_part(sum, dw.tensor.numel(), to);
  });
}

}  // namespace dura::cpu
