// A plain description of what one call of cuDNN computes: tensors and the operations between them. It has three readers: the builder that
// hands it to cuDNN, the check of plans for a card that is not there, and the interpreter of the simulated device.
//
// A tensor that is virtual never reaches memory: its values are not rounded to a storage type in between (it is f32, unless an engine asks
// for less), and the engine may fuse over it. All arithmetic is in f32.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/core/backend.h"
#include "engine/core/dtype.h"

namespace dura::cuda {

// Extents in cuDNN's order, whatever the order in memory: images N,C,H,W, filters K,C,R,S, values per channel 1,C,1,1. Strides in elements.
struct GraphTensor {
  std::string name;
  std::array<int64_t, 4> extents{}, strides{};
  DType dtype = DType::f32;
  bool is_virtual = false;
  // A mask: one bit for each element, eight in a byte, and `dtype` is u8. Only graphs write and read it, so which bit is whose is theirs.
  bool bits = false;

  int64_t numel() const { return extents[0] * extents[1] * extents[2] * extents[3]; }
  size_t bytes() const { return bits ? (static_cast<size_t>(numel()) + 7) / 8 : static_cast<size_t>(numel()) * dtype_size(dtype); }
  bool operator==(const GraphTensor&) const = default;
};

enum class Operation : uint8_t {
  conv_forward,          // inputs x, w; output y
  conv_backward_data,    // inputs dy, w; output dx
  conv_backward_filter,  // inputs x, dy; output dw
  add,                   // inputs a, b (b may have one value per channel); output y
  relu,                  // input x; output y
  greater_than_zero,     // input x; output y (bits): set where x > 0
  select,                // inputs x, mask (bits); output y = x where the mask is set, else 0
  batch_norm_training,   // inputs x, gamma, beta; outputs y, mean, invstd
  batch_norm_backward,   // inputs dy, x, gamma, mean, invstd; outputs dx, dgamma, dbeta
};
const char* operation_name(Operation operation);

// Indices are into Graph::tensors.
struct GraphNode {
  Operation operation = Operation::add;
  std::vector<int> inputs, outputs;
  int64_t stride = 1, padding = 0;  // convolutions, both directions
  bool accumulate = false;          // backward convolutions: the output's old values are added (cuDNN's beta = 1)
  double epsilon = 0;               // batch_norm_training; an f32 number, because cuDNN takes it as one
  bool operator==(const GraphNode&) const = default;
};

struct Graph {
  std::string name;  // for messages: "conv_forward f16 (16,56,56,64) * (64,1,1,64) stride 1 padding 0"
  std::vector<GraphTensor> tensors;
  std::vector<GraphNode> nodes;  // in an order in which they can be computed
  bool tf32 = false;             // f32 factors of a product may be rounded to TF32's 10 bits of mantissa

  int add_tensor(GraphTensor tensor) {
    tensors.push_back(std::move(tensor));
    return static_cast<int>(tensors.size()) - 1;
  }
  bool operator==(const Graph&) const = default;
};

// Whether it multiplies f32 numbers: only there TF32 means anything, and `tf32` may be set.
bool multiplies_f32(const Graph& graph);

// For caches of plans: std::unordered_map<Graph, ..., GraphHash>.
struct GraphHash {
  size_t operator()(const Graph& graph) const;
};

// Several lines: the name, then each tensor with its type, extents and strides, then each node. For messages and for reading.
std::string describe(const Graph& graph);

// ---- tensors as dura stores them ----
GraphTensor image_tensor(const std::string& name, int64_t N, int64_t H, int64_t W, int64_t C, DType dtype);   // (N,H,W,C)
GraphTensor filter_tensor(const std::string& name, int64_t K, int64_t R, int64_t S, int64_t C, DType dtype);  // (K,R,S,C)
GraphTensor channel_tensor(const std::string& name, int64_t C, DType dtype);                                  // (C)
GraphTensor mask_tensor(const std::string& name, int64_t N, int64_t H, int64_t W, int64_t C);                 // (N,H,W,C), bits

// Throws a message that names the graph, the node and the tensor when an index, extent or count does not fit. Every reader calls it.
void check_graph(const Graph& graph);

// ---- the graphs that dura emits; the first line of a comment gives the order of the tensors that are not virtual ----
// forward: x, w, [residual], [bias], y
// y = relu(conv(x, w) + residual + bias); a scale is folded into w before. The order of the additions is the one for which cuDNN has
// precompiled engines; for the same reason the bias is stored as `dtype`, not as [stat].
// backward_data: dy, w, dx
// backward_filter: x, dy, dw
// dw is stored as `dtype`: cuDNN 9.19 has no engine that writes it as f32 beside 16-bit images.
Graph conv_graph(const ConvGeometry& g, DType dtype, const ConvKey& key);

// x, gamma, beta, [residual], y, [mask], mean, invstd
// y = relu(batch_norm(x) + residual) with the statistics of this batch; x is (N,H,W,C), values per channel are f32. The mask is there with
// relu and says where y > 0. Running statistics are not the graph's affair: cuDNN knows only PyTorch's rule for them.
Graph batch_norm_training_graph(const Shape& x, DType dtype, const BatchNormOptions& options);
// dy, [mask], x, gamma, mean, invstd, [g], dx, dgamma, dbeta
// The gradients behind batch_norm_training_graph. With `relu`, g = dy where the mask is set (0 elsewhere) enters instead of dy; it is
// written where `writes_g` (it is the residual's gradient) and virtual elsewhere.
Graph batch_norm_backward_graph(const Shape& x, DType dtype, const BatchNormOptions& options);

// ---- what the backend asks cuDNN for first ----
// The number of channels that a convolution's images and filters have in its graph; the backend copies them with zeros behind. Engines for
// tensor cores load several channels at once: without padding, the first layer's three cost cuDNN more than 100 MB of workspace.
// f16: a multiple of 4; bf16: of 8; f32: as it is.
int64_t padded_channels(int64_t channels, DType dtype);
// The graph for one call of a convolution. Gradients of padded channels are written beside, so what they are added to is not its affair.
Graph padded_conv_graph(const ConvGeometry& g, DType dtype, ConvKey key);

}  // namespace dura::cuda
