// Convolutions as graphs for cuDNN. A folded BatchNorm scale goes into the filter, made again for each call in the workspace: one pass over
// the filter, which is small beside the images. The shift becomes the epilogue's bias.
#include "engine/cuda/cuda_backend.h"

namespace dura::cuda {
inline namespace DURA_CUDA_BUILD {
namespace {

constexpr int64_t alignment = 256;
int64_t aligned(int64_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

// Where the parts of a workspace begin, in bytes: the scaled filter, the bias in the dtype of the images, cuDNN's own.
struct WorkspaceLayout {
  int64_t bias, graph;
  WorkspaceLayout(const ConvGeometry& g, DType dtype)
      : bias(aligned(g.K * g.R * g.S * g.C * static_cast<int64_t>(dtype_size(dtype)))),
        graph(bias + aligned(g.K * static_cast<int64_t>(dtype_size(dtype)))) {}
};

template <class T>
__global__ void scale_filter_kernel(const T* w, const float* scale, int64_t depth, T* scaled, int64_t count) {
  const int64_t i = thread_index();
  if (i < count) store(scaled + i, load(w[i]) * scale[i / depth]);
}

template <class T>
__global__ void narrow_kernel(const float* x, T* y, int64_t count) {
  const int64_t i = thread_index();
  if (i < count) store(y + i, x[i]);
}

char* at(const Tensor& workspace, int64_t offset) { return workspace.defined() ? static_cast<char*>(workspace.raw()) + offset : nullptr; }

// The graph with the largest workspace among those that a pass may need.
size_t graph_workspace(Driver& driver, const ConvGeometry& g, DType dtype, ConvPass pass) {
  size_t most = 0;
  const auto consider = [&](const Graph& graph) { most = std::max(most, driver.workspace_bytes(graph)); };
  switch (pass) {
    case ConvPass::forward:
      consider(conv_forward_graph(g, dtype, {}));
      for (const bool residual : {false, true})
        for (const bool relu : {false, true}) consider(conv_forward_graph(g, dtype, {.residual = residual, .bias = true, .relu = relu}));
      break;
    case ConvPass::backward_data:
      for (const bool accumulate : {false, true}) consider(conv_backward_data_graph(g, dtype, accumulate));
      break;
    case ConvPass::backward_filter:
      for (const bool accumulate : {false, true}) consider(conv_backward_filter_graph(g, dtype, accumulate));
      break;
  }
  return most;
}

}  // namespace

size_t CudaBackend::conv_workspace(const ConvGeometry& g, DType dtype, ConvPass pass) {
  const size_t graph = graph_workspace(driver_, g, dtype, pass);
  return pass == ConvPass::backward_filter ? graph : graph + static_cast<size_t>(WorkspaceLayout(g, dtype).graph);
}

void CudaBackend::conv_forward(const ConvGeometry& g, const Tensor& x, const Weight& w, const ConvEpilogue& e, const Tensor& workspace,
                               const Tensor& y) {
  dispatch("conv_forward", x.dtype(), [&]<class T>(T) {
    const WorkspaceLayout layout(g, x.dtype());
    std::vector<void*> tensors = {x.raw(), w.value.raw()};
    if (e.scale.defined()) {
      T* scaled = reinterpret_cast<T*>(at(workspace, 0));
      start("scale_filter", scale_filter_kernel<T>, grid_over(w.value.numel()), address<T>(w.value), address<float>(e.scale),
            g.R * g.S * g.C, scaled, w.value.numel());
      tensors[1] = scaled;
    }
    if (e.residual.defined()) tensors.push_back(e.residual.raw());
    if (e.bias.defined()) {
      T* bias = reinterpret_cast<T*>(at(workspace, layout.bias));
      start("narrow", narrow_kernel<T>, grid_over(g.K), address<float>(e.bias), bias, g.K);
      tensors.push_back(bias);
    }
    tensors.push_back(y.raw());
    const Graph graph = conv_forward_graph(g, x.dtype(), {.residual = e.residual.defined(), .bias = e.bias.defined(), .relu = e.relu});
    driver_.run(graph, tensors, at(workspace, layout.graph), stream_);
  });
}

void CudaBackend::conv_backward_data(const ConvGeometry& g, const Tensor& dy, const Weight& w, const FoldedScale& scale,
                                     const Tensor& workspace, GradTarget dx) {
  dispatch("conv_backward_data", dy.dtype(), [&]<class T>(T) {
    void* filter = w.value.raw();
    if (scale.scale.defined()) {
      T* scaled = reinterpret_cast<T*>(at(workspace, 0));
      start("scale_filter", scale_filter_kernel<T>, grid_over(w.value.numel()), address<T>(w.value), address<float>(scale.scale),
            g.R * g.S * g.C, scaled, w.value.numel());
      filter = scaled;
    }
    driver_.run(conv_backward_data_graph(g, dy.dtype(), dx.accumulate), {dy.raw(), filter, dx.tensor.raw()},
                at(workspace, WorkspaceLayout(g, dy.dtype()).graph), stream_);
  });
}

void CudaBackend::conv_backward_filter(const ConvGeometry& g, const Tensor& x, const Tensor& dy, const Tensor& workspace, GradTarget dw) {
  dispatch("conv_backward_filter", dy.dtype(), [&]<class T>(T) {
    driver_.run(conv_backward_filter_graph(g, dy.dtype(), dw.accumulate), {x.raw(), dy.raw(), dw.tensor.raw()}, at(workspace, 0), stream_);
  });
}

}  // namespace DURA_CUDA_BUILD
}  // namespace dura::cuda
