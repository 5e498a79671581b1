#include "tests/engine/cuda/card/stand_in/cudnn_descriptor.h"

#include <set>

#include "tests/engine/cuda/card/stand_in/stand_in.h"

namespace dura::cuda::stand_in {
namespace {

// A row of the documentation's table. `most`: how many values there may be.
struct Row {
  int attribute;
  cudnnBackendAttributeType_t type;
  int64_t least, most;
  bool required = true;
};
constexpr bool optional = false;
constexpr int64_t dimensions = 8, many = 1 << 20;  // tensors have at most 8 dimensions; graphs and packs any number of members

const std::map<int, std::vector<Row>>& table() {
  constexpr auto number = CUDNN_TYPE_INT64;
  constexpr auto descriptor = CUDNN_TYPE_BACKEND_DESCRIPTOR;
  static const std::map<int, std::vector<Row>> all = {
      {CUDNN_BACKEND_TENSOR_DESCRIPTOR,
       {{CUDNN_ATTR_TENSOR_UNIQUE_ID, number, 1, 1},
        {CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, 1},
        {CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, number, 1, 1},
        {CUDNN_ATTR_TENSOR_DIMENSIONS, number, 1, dimensions},
        {CUDNN_ATTR_TENSOR_STRIDES, number, 1, dimensions},
        {CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, 1, optional},
        {CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, 1, 1, optional}}},
      {CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR,
       {{CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, 1},
        {CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, 1},
        {CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, number, 1, 1},
        {CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, number, 2, 2},
        {CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, number, 2, 2},
        {CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, number, 2, 2},
        {CUDNN_ATTR_CONVOLUTION_DILATIONS, number, 2, 2}}},
      {CUDNN_BACKEND_POINTWISE_DESCRIPTOR,
       {{CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, 1}, {CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, 1}}},
      {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
       {{CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, descriptor, 1, 1},
        {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, descriptor, 1, 1},
        {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, descriptor, 1, 1},
        {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, descriptor, 1, 1},
        {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_FLOAT, 1, 1},
        {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_FLOAT, 1, 1}}},
      {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
       {{CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, descriptor, 1, 1},
        {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, descriptor, 1, 1},
        {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, descriptor, 1, 1},
        {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, descriptor, 1, 1},
        {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_TYPE_FLOAT, 1, 1},
        {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, CUDNN_TYPE_FLOAT, 1, 1}}},
      {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
       {{CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, descriptor, 1, 1},
        {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, descriptor, 1, 1},
        {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY, descriptor, 1, 1},
        {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, descriptor, 1, 1},
        {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, CUDNN_TYPE_FLOAT, 1, 1},
        {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA, CUDNN_TYPE_FLOAT, 1, 1}}},
      {CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR,
       {{CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, descriptor, 1, 1},
        {CUDNN_ATTR_OPERATION_POINTWISE_XDESC, descriptor, 1, 1},
        {CUDNN_ATTR_OPERATION_POINTWISE_BDESC, descriptor, 1, 1, optional},
        {CUDNN_ATTR_OPERATION_POINTWISE_YDESC, descriptor, 1, 1}}},
      {CUDNN_BACKEND_OPERATION_NORM_FORWARD_DESCRIPTOR,
       {{CUDNN_ATTR_OPERATION_NORM_FWD_MODE, CUDNN_TYPE_NORM_MODE, 1, 1},
        {CUDNN_ATTR_OPERATION_NORM_FWD_PHASE, CUDNN_TYPE_NORM_FWD_PHASE, 1, 1},
        {CUDNN_ATTR_OPERATION_NORM_FWD_XDESC, descriptor, 1, 1},
        {CUDNN_ATTR_OPERATION_NORM_FWD_SCALE_DESC, descriptor, 1, 1},
        {CUDNN_ATTR_OPERATION_NORM_FWD_BIAS_DESC, descriptor, 1, 1},
        {CUDNN_ATTR_OPERATION_NORM_FWD_EPSILON_DESC, descriptor, 1, 1},
        {CUDNN_ATTR_OPERATION_NORM_FWD_YDESC, descriptor, 1, 1},
        {CUDNN_ATTR_OPERATION_NORM_FWD_MEAN_DESC, descriptor, 1, 1},
        {CUDNN_ATTR_OPERATION_NORM_FWD_INV_VARIANCE_DESC, descriptor, 1, 1}}},
      {CUDNN_BACKEND_OPERATION_NORM_BACKWARD_DESCRIPTOR,
       {{CUDNN_ATTR_OPERATION_NORM_BWD_MODE, CUDNN_TYPE_NORM_MODE, 1, 1},
        {CUDNN_ATTR_OPERATION_NORM_BWD_DYDESC, descriptor, 1, 1},
        {CUDNN_ATTR_OPERATION_NORM_BWD_XDESC, descriptor, 1, 1},
        {CUDNN_ATTR_OPERATION_NORM_BWD_SCALE_DESC, descriptor, 1, 1},
        {CUDNN_ATTR_OPERATION_NORM_BWD_MEAN_DESC, descriptor, 1, 1},
        {CUDNN_ATTR_OPERATION_NORM_BWD_INV_VARIANCE_DESC, descriptor, 1, 1},
        {CUDNN_ATTR_OPERATION_NORM_BWD_DXDESC, descriptor, 1, 1},
        {CUDNN_ATTR_OPERATION_NORM_BWD_DSCALE_DESC, descriptor, 1, 1},
        {CUDNN_ATTR_OPERATION_NORM_BWD_DBIAS_DESC, descriptor, 1, 1}}},
      // 800 and 400: handles, whose names are marked as deprecated.
      {CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, {{800, CUDNN_TYPE_HANDLE, 1, 1}, {CUDNN_ATTR_OPERATIONGRAPH_OPS, descriptor, 1, many}}},
      {CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR,
       {{CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, descriptor, 1, 1}, {CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, 1}}},
      {CUDNN_BACKEND_ENGINE_DESCRIPTOR,
       {{CUDNN_ATTR_ENGINE_OPERATION_GRAPH, descriptor, 1, 1}, {CUDNN_ATTR_ENGINE_GLOBAL_INDEX, number, 1, 1}}},
      {CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR,
       {{CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, 1}, {CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, number, 1, 1}}},
      {CUDNN_BACKEND_ENGINECFG_DESCRIPTOR,
       {{CUDNN_ATTR_ENGINECFG_ENGINE, descriptor, 1, 1}, {CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, descriptor, 0, many, optional}}},
      {CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR,
       {{400, CUDNN_TYPE_HANDLE, 1, 1},
        // One of the two.
        {CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, descriptor, 1, 1, optional},
        {CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, 1, many, optional}}},
      {CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR,
       {{CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, number, 1, many},
        {CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, 1, many},
        {CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, 1}}},
  };
  return all;
}

// Descriptors are never freed, so that no address is used again.
std::map<const void*, std::shared_ptr<Contents>>& living() {
  static std::map<const void*, std::shared_ptr<Contents>> all;
  return all;
}

}  // namespace

size_t size_of(cudnnBackendAttributeType_t type) {
  switch (type) {
    case CUDNN_TYPE_INT64:
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_BACKEND_DESCRIPTOR:
      return 8;
    case CUDNN_TYPE_BOOLEAN:
    case CUDNN_TYPE_CHAR:
      return 1;
    case CUDNN_TYPE_DOUBLE:
      return 8;
    default:
      return 4;  // f32, i32 and enumerations
  }
}

std::shared_ptr<Contents> contents_of(const void* descriptor) {
  const auto found = living().find(descriptor);
  if (found != living().end()) return found->second;
  complain<"cuDNN: a descriptor is used after its end">();
  return nullptr;
}

bool set_values(Contents& to, int attribute, cudnnBackendAttributeType_t type, int64_t count, const void* values) {
  if (to.finalized) return complain<"cuDNN: an attribute is set after the descriptor was finalized">(concat(": ", attribute));
  for (const Row& row : table().at(to.type)) {
    if (row.attribute != attribute) continue;
    if (row.type != type)
      return complain<"cuDNN: values of another type">(concat(": attribute ", attribute, ", of type ", int(row.type), ", not ", int(type)));
    if (count < row.least || count > row.most)
      return complain<"cuDNN: another number of values">(concat(": attribute ", attribute, " was given ", count));
    Contents::Values v{.type = type, .count = count};
    v.bytes.resize(static_cast<size_t>(count) * size_of(type));
    std::memcpy(v.bytes.data(), values, v.bytes.size());
    if (type == CUDNN_TYPE_BACKEND_DESCRIPTOR)
      for (int64_t i = 0; i < count; ++i) {
        const std::shared_ptr<Contents> child = contents_of(static_cast<void* const*>(values)[i]);
        if (!child) return false;
        if (!child->finalized) return complain<"cuDNN: an attribute was given a descriptor that is not finalized">(concat(": ", attribute));
        v.descriptors.push_back(child);
      }
    to.attributes[attribute] = std::move(v);
    return true;
  }
  return complain<"cuDNN: a descriptor has no such attribute that can be set">(concat(": type ", int(to.type), ", attribute ", attribute));
}

bool complete(const Contents& contents) {
  for (const Row& row : table().at(contents.type))
    if (row.required && !contents.has(row.attribute))
      return complain<"cuDNN: a descriptor is finalized without an attribute">(
          concat(": type ", int(contents.type), ", attribute ", row.attribute));
  return true;
}

void* new_descriptor(cudnnBackendDescriptorType_t type) {
  if (table().count(type) == 0) return complain<"cuDNN: there is no such type of descriptor">(concat(": ", int(type))), nullptr;
  auto contents = std::make_shared<Contents>();
  contents->type = type;
  void* address = new char;
  living()[address] = contents;
  ++alive()["cuDNN descriptor"];
  return address;
}

bool end_descriptor(void* descriptor) {
  if (living().erase(descriptor) == 0) return complain<"cuDNN: a descriptor ends twice">();
  --alive()["cuDNN descriptor"];
  return true;
}

}  // namespace dura::cuda::stand_in
