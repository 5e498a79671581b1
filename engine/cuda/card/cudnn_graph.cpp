#include "engine/cuda/card/cudnn_graph.h"

namespace dura::cuda {
namespace {

constexpr int64_t alignment = 16;  // bytes; every tensor begins at least so (memory.h aligns to more), and wide loads need it

cudnnDataType_t data_type(const GraphTensor& t) {
  if (t.bits) return CUDNN_DATA_BOOLEAN;
  if (t.dtype == DType::f32) return CUDNN_DATA_FLOAT;
  if (t.dtype == DType::f16) return CUDNN_DATA_HALF;
  if (t.dtype == DType::bf16) return CUDNN_DATA_BFLOAT16;
  fail("a graph's tensor ", t.name, " is ", dtype_name(t.dtype), ": convolutions on a card are done in f32, f16 or bf16");
}

std::vector<int64_t> list(const std::array<int64_t, 4>& a) { return {a.begin(), a.end()}; }

CudnnDescriptor tensor_descriptor(int64_t number, cudnnDataType_t type, const std::vector<int64_t>& extents,
                                  const std::vector<int64_t>& strides) {
  CudnnDescriptor d(CUDNN_BACKEND_TENSOR_DESCRIPTOR, "tensor");
  d.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, number);
  d.set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, type);
  d.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, alignment);
  d.set(CUDNN_ATTR_TENSOR_DIMENSIONS, extents);
  d.set(CUDNN_ATTR_TENSOR_STRIDES, strides);
  return d;
}

struct ConvAttributes {
  cudnnBackendDescriptorType_t type;
  cudnnBackendAttributeName_t mode, alpha, beta;
  cudnnBackendAttributeName_t input0, input1, output;  // in the order of GraphNode
};

ConvAttributes conv_attributes(Operation o) {
  if (o == Operation::conv_forward)
    return {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y};
  if (o == Operation::conv_backward_data)
    return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX};
  return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW};
}

}  // namespace

CudnnGraph::CudnnGraph(const Graph& graph, cudnnHandle_t handle) : descriptor_(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, "operation graph") {
  check_graph(graph);
  for (size_t i = 0; i < graph.tensors.size(); ++i) {
    const GraphTensor& t = graph.tensors[i];
    CudnnDescriptor d = tensor_descriptor(static_cast<int64_t>(i) + 1, data_type(t), list(t.extents), list(t.strides));
    d.set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, t.is_virtual);
    d.finalize();
    tensors_.push_back(std::move(d));
    if (!t.is_virtual) real_.push_back(static_cast<int64_t>(i) + 1);
  }
  for (const GraphNode& n : graph.nodes) {
    switch (n.operation) {
      case Operation::conv_forward:
      case Operation::conv_backward_data:
      case Operation::conv_backward_filter:
        convolution(n);
        break;
      case Operation::add:
      case Operation::relu:
      case Operation::greater_than_zero:
      case Operation::select:
        pointwise(n);
        break;
      case Operation::batch_norm_training:
        batch_norm_training(n);
        break;
      case Operation::batch_norm_backward:
        batch_norm_backward(n);
        break;
    }
    operations_.back().finalize();
  }
  std::vector<cudnnBackendDescriptor_t> raw;
  for (const CudnnDescriptor& o : operations_) raw.push_back(o.raw());
  descriptor_.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, static_cast<int64_t>(raw.size()), raw.data());
  if (handle) descriptor_.set(attribute_operation_graph_handle, CUDNN_TYPE_HANDLE, handle);
  descriptor_.finalize();
}

void CudnnGraph::bind(const std::vector<void*>& addresses, std::vector<int64_t>& numbers, std::vector<void*>& pointers) const {
  DURA_CHECK(addresses.size() == real_.size(), "a cuDNN graph with ", real_.size(), " tensors in memory was given ", addresses.size(),
             " addresses");
  for (void* address : addresses)
    DURA_CHECK(reinterpret_cast<uintptr_t>(address) % alignment == 0, "a cuDNN graph was given the address ", address,
               ", which is not a multiple of ", alignment, " bytes");
  numbers = real_, pointers = addresses;
  for (size_t i = 0; i < values_.size(); ++i) {
    numbers.push_back(static_cast<int64_t>(tensors_.size() + i) + 1);
    pointers.push_back(const_cast<float*>(&values_[i]));  // cuDNN's variant pack holds void*, and reads constants only
  }
}

const CudnnDescriptor& CudnnGraph::constant(float value) {
  values_.push_back(value);
  const auto number = static_cast<int64_t>(tensors_.size() + values_.size());
  CudnnDescriptor d = tensor_descriptor(number, CUDNN_DATA_FLOAT, {1, 1, 1, 1}, {1, 1, 1, 1});
  d.set(CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, true);
  d.finalize();
  return constants_.emplace_back(std::move(d));
}

void CudnnGraph::convolution(const GraphNode& n) {
  CudnnDescriptor& mode = modes_.emplace_back(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, "convolution");
  mode.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT);
  mode.set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, CUDNN_CROSS_CORRELATION);
  mode.set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, int64_t{2});
  mode.set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, {n.padding, n.padding});
  mode.set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, {n.padding, n.padding});
  mode.set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, {n.stride, n.stride});
  mode.set(CUDNN_ATTR_CONVOLUTION_DILATIONS, {1, 1});
  mode.finalize();
  const ConvAttributes a = conv_attributes(n.operation);
  CudnnDescriptor& d = operations_.emplace_back(a.type, operation_name(n.operation));
  d.set(a.mode, mode);
  d.set(a.input0, input(n, 0));
  d.set(a.input1, input(n, 1));
  d.set(a.output, output(n, 0));
  d.set(a.alpha, CUDNN_TYPE_FLOAT, 1.0f);
  d.set(a.beta, CUDNN_TYPE_FLOAT, n.accumulate ? 1.0f : 0.0f);
}

void CudnnGraph::pointwise(const GraphNode& n) {
  const cudnnPointwiseMode_t kind = n.operation == Operation::add                 ? CUDNN_POINTWISE_ADD
                                    : n.operation == Operation::relu              ? CUDNN_POINTWISE_RELU_FWD
                                    : n.operation == Operation::greater_than_zero ? CUDNN_POINTWISE_CMP_GT
                                                                                  : CUDNN_POINTWISE_MUL;  // by a mask of bits
  CudnnDescriptor& mode = modes_.emplace_back(CUDNN_BACKEND_POINTWISE_DESCRIPTOR, "pointwise");
  mode.set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, kind);
  mode.set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT);
  mode.finalize();
  CudnnDescriptor& d = operations_.emplace_back(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, operation_name(n.operation));
  d.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, mode);
  d.set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, input(n, 0));
  if (n.operation == Operation::greater_than_zero)
    d.set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, constant(0));
  else if (n.operation != Operation::relu)
    d.set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, input(n, 1));
  d.set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, output(n, 0));
}

void CudnnGraph::batch_norm_training(const GraphNode& n) {
  CudnnDescriptor& d = operations_.emplace_back(CUDNN_BACKEND_OPERATION_NORM_FORWARD_DESCRIPTOR, operation_name(n.operation));
  d.set(CUDNN_ATTR_OPERATION_NORM_FWD_MODE, CUDNN_TYPE_NORM_MODE, CUDNN_BATCH_NORM);
  d.set(CUDNN_ATTR_OPERATION_NORM_FWD_PHASE, CUDNN_TYPE_NORM_FWD_PHASE, CUDNN_NORM_FWD_TRAINING);
  d.set(CUDNN_ATTR_OPERATION_NORM_FWD_XDESC, input(n, 0));
  d.set(CUDNN_ATTR_OPERATION_NORM_FWD_SCALE_DESC, input(n, 1));
  d.set(CUDNN_ATTR_OPERATION_NORM_FWD_BIAS_DESC, input(n, 2));
  d.set(CUDNN_ATTR_OPERATION_NORM_FWD_EPSILON_DESC, constant(static_cast<float>(n.epsilon)));
  d.set(CUDNN_ATTR_OPERATION_NORM_FWD_YDESC, output(n, 0));
  d.set(CUDNN_ATTR_OPERATION_NORM_FWD_MEAN_DESC, output(n, 1));
  d.set(CUDNN_ATTR_OPERATION_NORM_FWD_INV_VARIANCE_DESC, output(n, 2));
}

void CudnnGraph::batch_norm_backward(const GraphNode& n) {
  CudnnDescriptor& d = operations_.emplace_back(CUDNN_BACKEND_OPERATION_NORM_BACKWARD_DESCRIPTOR, operation_name(n.operation));
  d.set(CUDNN_ATTR_OPERATION_NORM_BWD_MODE, CUDNN_TYPE_NORM_MODE, CUDNN_BATCH_NORM);
  d.set(CUDNN_ATTR_OPERATION_NORM_BWD_DYDESC, input(n, 0));
  d.set(CUDNN_ATTR_OPERATION_NORM_BWD_XDESC, input(n, 1));
  d.set(CUDNN_ATTR_OPERATION_NORM_BWD_SCALE_DESC, input(n, 2));
  d.set(CUDNN_ATTR_OPERATION_NORM_BWD_MEAN_DESC, input(n, 3));
  d.set(CUDNN_ATTR_OPERATION_NORM_BWD_INV_VARIANCE_DESC, input(n, 4));
  d.set(CUDNN_ATTR_OPERATION_NORM_BWD_DXDESC, output(n, 0));
  d.set(CUDNN_ATTR_OPERATION_NORM_BWD_DSCALE_DESC, output(n, 1));
  d.set(CUDNN_ATTR_OPERATION_NORM_BWD_DBIAS_DESC, output(n, 2));
}

}  // namespace dura::cuda
