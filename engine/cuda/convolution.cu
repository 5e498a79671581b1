// Convolutions as graphs for cuDNN. What a graph does not do is done by kernels before and behind it, in the workspace: a folded BatchNorm
// scale goes into the filter, channels are padded to what engines can load (padded_channels), gradients of padded channels are copied out.
// Each is one pass over a filter or over the network's input, which are small beside the images of its inside. Where cuDNN has no engine
// for an epilogue or for adding to the output, it computes the bare convolution, and a kernel does the rest.
#include "engine/cuda/cuda_backend.h"

namespace dura::cuda {
inline namespace DURA_CUDA_BUILD {
namespace {

// Rows of `channels` elements to rows of `padded`, zeros behind; times scale[row / rows_of_scale] where there is a scale.
template <class T>
__global__ void pad_kernel(const T* x, const float* scale, int64_t rows_of_scale, int64_t channels, int64_t padded, T* y, int64_t count) {
  const int64_t i = thread_index();
  if (i >= count) return;
  const int64_t row = i / padded, c = i - row * padded;
  const float v = c < channels ? load(x[row * channels + c]) : 0.0f;
  store(y + i, scale ? v * scale[row / rows_of_scale] : v);
}

// The way back: writes or adds the first `channels` of each row.
template <class T>
__global__ void unpad_kernel(const T* x, int64_t channels, int64_t padded, T* y, bool accumulate, int64_t count) {
  const int64_t i = thread_index();
  if (i < count) put(y + i, load(x[i + i / channels * (padded - channels)]), accumulate);
}

template <class T>
__global__ void narrow_kernel(const float* x, T* y, int64_t count) {
  const int64_t i = thread_index();
  if (i < count) store(y + i, x[i]);
}

constexpr int64_t part_alignment = 256;

// A folded filter is followed by its bias.
int64_t folded_bias_offset(const Shape& w, DType dtype) {
  return round_up(w[0] * w[1] * w[2] * padded_channels(w[3], dtype) * static_cast<int64_t>(dtype_size(dtype)), part_alignment);
}

void* at(const Tensor& workspace, int64_t offset) { return workspace.defined() ? static_cast<char*>(workspace.raw()) + offset : nullptr; }

}  // namespace

// One call: its graph, and where the parts of its workspace begin, in bytes. A part that is not needed has no bytes.
struct CudaBackend::ConvCall {
  ConvGeometry g;
  int64_t padded;  // channels in the graph
  ConvKey in_graph;
  Graph graph;
  bool own_filter = false, own_images = false, own_result = false;
  int64_t images = 0, bias = 0, result = 0, graph_space = 0, bytes = 0;  // the filter is first

  ConvCall(CudaBackend& b, const ConvGeometry& geometry, DType dtype, const ConvKey& key)
      : g(geometry), padded(padded_channels(g.C, dtype)), in_graph(key), graph(padded_conv_graph(g, dtype, key)) {
    if (!b.takes(graph, g, dtype, key)) {
      in_graph = {.pass = key.pass, .scale = key.scale};
      graph = padded_conv_graph(g, dtype, in_graph);
    }
    const bool pads = padded != g.C;
    const bool backward = key.pass != ConvPass::forward;
    own_filter = key.pass != ConvPass::backward_filter && (key.scale || pads);
    own_images = key.pass != ConvPass::backward_data && pads;
    own_result = backward && (pads || key.accumulate != in_graph.accumulate);
    const auto size = static_cast<int64_t>(dtype_size(dtype));
    const auto part = [&](bool wanted, int64_t elements) {
      const int64_t begin = bytes;
      if (wanted) bytes += round_up(elements * size, part_alignment);
      return begin;
    };
    part(own_filter, filter_elements());
    images = part(own_images, image_elements());
    bias = part(in_graph.bias, g.K);
    result = part(own_result, key.pass == ConvPass::backward_data ? image_elements() : filter_elements());
    graph_space = bytes;
    bytes += static_cast<int64_t>(b.workspace_bytes(graph));
  }
  int64_t filter_elements() const { return g.K * g.R * g.S * padded; }
  int64_t image_elements() const { return g.N * g.H * g.W * padded; }
};

size_t CudaBackend::conv_workspace(const ConvGeometry& g, DType dtype, const ConvKey& key) {
  return static_cast<size_t>(ConvCall(*this, g, dtype, key).bytes);
}

void* CudaBackend::padded(const Tensor& x, const Tensor& scale, int64_t rows_of_scale, int64_t channels, int64_t wide, void* to) {
  dispatch("padded", x.dtype(), [&]<class T>(T) {
    const int64_t count = x.numel() / channels * wide;
    start("pad", pad_kernel<T>, grid_over(count), address<T>(x), address<float>(scale), rows_of_scale, channels, wide, static_cast<T*>(to),
          count);
  });
  return to;
}

void* CudaBackend::narrowed(const Tensor& bias, DType dtype, void* to) {
  dispatch("narrowed", dtype, [&]<class T>(T) {
    start("narrow", narrow_kernel<T>, grid_over(bias.numel()), address<float>(bias), static_cast<T*>(to), bias.numel());
  });
  return to;
}

size_t CudaBackend::folded_filter_bytes(const Shape& w, DType dtype) {
  return static_cast<size_t>(folded_bias_offset(w, dtype)) + static_cast<size_t>(w[0]) * dtype_size(dtype);
}

void CudaBackend::fold_filter(const Tensor& w, const Tensor& scale, const Tensor& bias, const Tensor& folded) {
  const Shape& s = w.shape();
  padded(w, scale, s[1] * s[2], s[3], padded_channels(s[3], w.dtype()), folded.raw());
  narrowed(bias, w.dtype(), at(folded, folded_bias_offset(s, w.dtype())));
}

void CudaBackend::take_result(const void* x, int64_t channels, int64_t wide, const GradTarget& y) {
  dispatch("take_result", y.tensor.dtype(), [&]<class T>(T) {
    start("unpad", unpad_kernel<T>, grid_over(y.tensor.numel()), static_cast<const T*>(x), channels, wide, address<T>(y.tensor),
          y.accumulate, y.tensor.numel());
  });
}

void CudaBackend::conv_forward(const ConvGeometry& g, const Tensor& x, const Weight& w, const Epilogue& e, const Tensor& workspace,
                               const Tensor& y) {
  const ConvCall call(*this, g, x.dtype(), key_of(e));
  const bool folded = w.folded.defined();
  std::vector<void*> tensors = {call.own_images ? padded(x, {}, 1, g.C, call.padded, at(workspace, call.images)) : x.raw(),
                                folded            ? w.folded.raw()
                                : call.own_filter ? padded(w.value, e.scale, g.R * g.S, g.C, call.padded, at(workspace, 0))
                                                  : w.value.raw()};
  if (call.in_graph.residual) tensors.push_back(e.residual.raw());
  if (call.in_graph.bias)
    tensors.push_back(folded ? at(w.folded, folded_bias_offset(w.value.shape(), x.dtype()))
                             : narrowed(e.bias, x.dtype(), at(workspace, call.bias)));
  tensors.push_back(y.raw());
  driver_.run(call.graph, tensors, at(workspace, call.graph_space), stream_);
  if (call.in_graph != key_of(e)) scale_shift_act(y, {{}, e.bias, e.residual, e.relu}, y);
}

void CudaBackend::conv_backward_data(const ConvGeometry& g, const Tensor& dy, const Weight& w, const FoldedScale& scale,
                                     const Tensor& workspace, GradTarget dx) {
  const ConvCall call(*this, g, dy.dtype(), {.pass = ConvPass::backward_data, .scale = scale.scale.defined(), .accumulate = dx.accumulate});
  void* filter = call.own_filter ? padded(w.value, scale.scale, g.R * g.S, g.C, call.padded, at(workspace, 0)) : w.value.raw();
  void* result = call.own_result ? at(workspace, call.result) : dx.tensor.raw();
  driver_.run(call.graph, {dy.raw(), filter, result}, at(workspace, call.graph_space), stream_);
  if (call.own_result) take_result(result, g.C, call.padded, dx);
}

void CudaBackend::conv_backward_filter(const ConvGeometry& g, const Tensor& x, const Tensor& dy, const Tensor& workspace, GradTarget dw) {
  const ConvCall call(*this, g, dy.dtype(), {.pass = ConvPass::backward_filter, .accumulate = dw.accumulate});
  void* images = call.own_images ? padded(x, {}, 1, g.C, call.padded, at(workspace, call.images)) : x.raw();
  void* result = call.own_result ? at(workspace, call.result) : dw.tensor.raw();
  driver_.run(call.graph, {images, dy.raw(), result}, at(workspace, call.graph_space), stream_);
  if (call.own_result) take_result(result, g.C, call.padded, dw);
}

}  // namespace DURA_CUDA_BUILD
}  // namespace dura::cuda
