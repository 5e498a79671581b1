// Wrong calls of cuDNN.
#include <array>
#include <deque>

#include "engine/cuda/card/cudnn_graph.h"
#include "tests/engine/cuda/card/stand_in/wrong_calls.h"

namespace dura::cuda::stand_in {
namespace {

using Catch::Contains;

CudnnDescriptor tensor() { return {CUDNN_BACKEND_TENSOR_DESCRIPTOR, "tensor"}; }

// Descriptors of a graph, as wrong as a test wants them.
class Pieces {
 public:
  CudnnDescriptor& tensor(int64_t number, const std::vector<int64_t>& extents = {1, 8, 2, 2}) {
    CudnnDescriptor& d = all_.emplace_back(CUDNN_BACKEND_TENSOR_DESCRIPTOR, "tensor");
    d.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, number);
    d.set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT);
    d.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, int64_t{16});
    d.set(CUDNN_ATTR_TENSOR_DIMENSIONS, extents);
    d.set(CUDNN_ATTR_TENSOR_STRIDES, std::vector<int64_t>(extents.size(), 1));
    d.finalize();
    return d;
  }
  CudnnDescriptor& pointwise(cudnnPointwiseMode_t kind, const CudnnDescriptor& x, const CudnnDescriptor& y,
                             const CudnnDescriptor* b = nullptr) {
    CudnnDescriptor& mode = all_.emplace_back(CUDNN_BACKEND_POINTWISE_DESCRIPTOR, "pointwise");
    mode.set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, kind);
    mode.set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT);
    mode.finalize();
    CudnnDescriptor& d = all_.emplace_back(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, "operation");
    d.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, mode);
    d.set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
    d.set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
    if (b) d.set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, *b);
    d.finalize();
    return d;
  }
  // What cuDNN calls a convolution, with the filter turned over.
  CudnnDescriptor& turned_convolution() {
    CudnnDescriptor& mode = all_.emplace_back(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, "convolution");
    mode.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT);
    mode.set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, CUDNN_CONVOLUTION);
    mode.set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, int64_t{2});
    for (const auto attribute : {CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS}) mode.set(attribute, {0, 0});
    for (const auto attribute : {CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_ATTR_CONVOLUTION_DILATIONS}) mode.set(attribute, {1, 1});
    mode.finalize();
    CudnnDescriptor& d = all_.emplace_back(CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, "operation");
    d.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, mode);
    d.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, tensor(1));
    d.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, tensor(2));
    d.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, tensor(3));
    d.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_FLOAT, 1.0f);
    d.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_FLOAT, 0.0f);
    d.finalize();
    return d;
  }
  CudnnDescriptor& inference_norm() {
    CudnnDescriptor& d = all_.emplace_back(CUDNN_BACKEND_OPERATION_NORM_FORWARD_DESCRIPTOR, "operation");
    d.set(CUDNN_ATTR_OPERATION_NORM_FWD_MODE, CUDNN_TYPE_NORM_MODE, CUDNN_BATCH_NORM);
    d.set(CUDNN_ATTR_OPERATION_NORM_FWD_PHASE, CUDNN_TYPE_NORM_FWD_PHASE, CUDNN_NORM_FWD_INFERENCE);
    int64_t number = 0;
    for (const auto attribute :
         {CUDNN_ATTR_OPERATION_NORM_FWD_XDESC, CUDNN_ATTR_OPERATION_NORM_FWD_SCALE_DESC, CUDNN_ATTR_OPERATION_NORM_FWD_BIAS_DESC,
          CUDNN_ATTR_OPERATION_NORM_FWD_EPSILON_DESC, CUDNN_ATTR_OPERATION_NORM_FWD_YDESC, CUDNN_ATTR_OPERATION_NORM_FWD_MEAN_DESC,
          CUDNN_ATTR_OPERATION_NORM_FWD_INV_VARIANCE_DESC})
      d.set(attribute, tensor(++number));
    d.finalize();
    return d;
  }

 private:
  std::deque<CudnnDescriptor> all_;
};

// The complaint about a graph of one operation.
std::string about_graph(cudnnHandle_t handle, const std::function<const CudnnDescriptor&(Pieces&)>& operation) {
  return complaint([&] {
    Pieces pieces;
    CudnnDescriptor graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, "graph");
    graph.set(attribute_operation_graph_handle, CUDNN_TYPE_HANDLE, handle);
    graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, operation(pieces));
    graph.finalize();
  });
}

// A plan of engine 5 without CudnnPlan around it, which would find some errors before cuDNN does.
struct BarePlan {
  BarePlan(const Graph& of, cudnnHandle_t of_handle) : handle(of_handle), graph(of, of_handle) {
    engine.set(CUDNN_ATTR_ENGINE_OPERATION_GRAPH, graph.descriptor());
    engine.set(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, int64_t{5});
    engine.finalize();
    configuration.set(CUDNN_ATTR_ENGINECFG_ENGINE, engine);
    configuration.finalize();
    plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, configuration);
    plan.set(attribute_plan_handle, CUDNN_TYPE_HANDLE, of_handle);
    plan.finalize();
  }
  std::string run(const std::vector<int64_t>& numbers, std::vector<void*> pointers, void* workspace) const {
    return complaint([&] {
      CudnnDescriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, "pack");
      pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, numbers);
      pack.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, static_cast<int64_t>(pointers.size()), pointers.data());
      pack.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, workspace);
      pack.finalize();
      cudnn().execute(handle, plan.raw(), pack.raw());
    });
  }

  cudnnHandle_t handle;
  CudnnGraph graph;
  CudnnDescriptor engine{CUDNN_BACKEND_ENGINE_DESCRIPTOR, "engine"}, configuration{CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, "configuration"},
      plan{CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, "plan"};
};

void attributes() {
  const int64_t one = 1;
  const std::vector<int64_t> nine(9, 1);
  CHECK_THAT(complaint([&] { tensor().set(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT32, 1); }), Contains("of type 3, not 23"));
  CHECK_THAT(complaint([&] { tensor().set(CUDNN_ATTR_TENSOR_DIMENSIONS, nine); }), Contains("was given 9"));
  CHECK_THAT(complaint([&] { tensor().set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_INT64, one); }), Contains("attribute that can be set"));
  CHECK_THAT(complaint([&] { tensor().finalize(); }), Contains("finalized without an attribute"));
  CHECK_THAT(complaint([&] { tensor().get_int64(CUDNN_ATTR_TENSOR_UNIQUE_ID); }), Contains("read before it is finalized"));
  CHECK_THAT(complaint([&] {
               Pieces pieces;
               int32_t number = 0;
               pieces.tensor(1).get(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT32, 1, &number);
             }),
             Contains("attribute that can be read"));
  CHECK_THAT(complaint([&] {
               Pieces pieces;
               pieces.tensor(1).set(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, one);
             }),
             Contains("set after the descriptor was finalized"));
  CHECK_THAT(complaint([&] {
               const CudnnDescriptor unfinished(CUDNN_BACKEND_POINTWISE_DESCRIPTOR, "pointwise");
               CudnnDescriptor d(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, "operation");
               d.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, unfinished);
             }),
             Contains("not finalized"));
  CHECK_THAT(complaint([&] { CudnnDescriptor(CUDNN_BACKEND_MATMUL_DESCRIPTOR, "product"); }), Contains("no such type of descriptor"));
}

void ends() {
  cudnnBackendDescriptor_t d = nullptr;
  cudnn().create_descriptor(CUDNN_BACKEND_TENSOR_DESCRIPTOR, &d);
  cudnn().destroy_descriptor(d);
  CHECK_THAT(complaint([&] { cudnn().finalize(d); }), Contains("descriptor is used after its end"));
  CHECK_THAT(complaint([&] { cudnn().destroy_descriptor(d); }), Contains("descriptor ends twice"));
  cudnnHandle_t handle = nullptr;
  cudnn().create(&handle);
  cudnn().destroy(handle);
  CHECK_THAT(complaint([&] { cudnn().set_stream(handle, nullptr); }), Contains("handle is used after its end"));
  CHECK_THAT(complaint([&] { cudnn().destroy(handle); }), Contains("handle ends twice"));
}

void graphs(const Convolution& c) {
  const auto about = [&](const std::function<const CudnnDescriptor&(Pieces&)>& operation) { return about_graph(c.handle, operation); };
  const auto relu = CUDNN_POINTWISE_RELU_FWD;
  CHECK(about([&](Pieces & p) -> auto& { return p.pointwise(relu, p.tensor(1), p.tensor(2)); }).empty());
  CHECK_THAT(about([&](Pieces & p) -> auto& { return p.pointwise(relu, p.tensor(1), p.tensor(1)); }), Contains("have one number: 1"));
  CHECK_THAT(about([&](Pieces & p) -> auto& { return p.pointwise(relu, p.tensor(1), p.tensor(2, {1, 8, 4})); }), Contains("of no kind"));
  CHECK_THAT(about([&](Pieces & p) -> auto& { return p.pointwise(CUDNN_POINTWISE_CMP_GT, p.tensor(1), p.tensor(2), &p.tensor(3)); }),
             Contains("no tensor that is passed by value"));
  CHECK_THAT(about([&](Pieces & p) -> auto& { return p.pointwise(CUDNN_POINTWISE_TANH_FWD, p.tensor(1), p.tensor(2)); }),
             Contains("not a pointwise operation"));
  CHECK_THAT(about([&](Pieces & p) -> auto& { return p.turned_convolution(); }), Contains("not a convolution"));
  CHECK_THAT(about([&](Pieces & p) -> auto& { return p.inference_norm(); }), Contains("not a normalisation"));
  CHECK_THAT(about([&](Pieces & p) -> auto& { return p.tensor(1); }), Contains("not an operation"));
}

void plans(const Convolution& c) {
  const CudnnPlan plan = c.plan();
  CHECK(plan.choice().engine == 4);
  CHECK(plan.workspace_bytes() == 1000);
  const auto run = [&](const std::vector<void*>& addresses, void* workspace) {
    return complaint([&] { plan.run(c.handle, addresses, workspace); });
  };
  CHECK(run({c.x, c.w, c.y}, c.workspace).empty());
  CHECK_THAT(run({c.x, nullptr, c.y}, c.workspace), Contains("has no address"));
  CHECK_THAT(run({c.x, c.w, c.y}, nullptr), Contains("the workspace is missing"));
  CHECK_THAT(run({c.x, c.w, c.y}, static_cast<char*>(c.workspace) + 64), Contains("not aligned to 256"));
  CHECK_THAT(run({c.x, c.w, c.y}, c.x), Contains("reach behind the end"));  // 256 bytes where 1000 were promised
  alignas(256) std::array<float, 64> host{};
  CHECK_THAT(run({c.x, host.data(), c.y}, c.workspace), Contains("it is the host's"));
  CHECK_THAT(complaint([&] {
               CudnnPlan(c.graph, PlanTarget::of_handle(c.handle), {.engine = 4, .knobs = {{2, 15}, {13, 32}}});
             }),
             Contains("other settings than were offered"));
  CHECK_THAT(complaint([&] { CudnnPlan(c.graph, PlanTarget::of_handle(c.handle), {.engine = 77, .knobs = {}}); }),
             Contains("no such engine"));
  CHECK_THAT(complaint([&] {
               CudnnDescriptor empty(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, "plan");
               empty.set(attribute_plan_handle, CUDNN_TYPE_HANDLE, c.handle);
               empty.finalize();
             }),
             Contains("an engine or of words"));
  CHECK_THAT(complaint([&] {
               const CudnnGraph graph(c.graph, c.handle);
               CudnnDescriptor heuristics(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, "heuristics");
               heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph.descriptor());
               heuristics.set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, CUDNN_HEUR_MODE_A);
               heuristics.finalize();
               const CudnnDescriptor other = tensor();
               cudnnBackendDescriptor_t raw = other.raw();
               heuristics.get(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &raw);
             }),
             Contains("a descriptor of another type"));
  cudnnHandle_t without_stream = nullptr, ended = nullptr;
  cudnn().create(&without_stream), cudnn().create(&ended);
  CHECK_THAT(complaint([&] { plan.run(without_stream, {c.x, c.w, c.y}, c.workspace); }), Contains("no stream was chosen"));
  cudnn().destroy(without_stream), cudnn().destroy(ended);
  CHECK_THAT(complaint([&] { plan.run(ended, {c.x, c.w, c.y}, c.workspace); }), Contains("handle that cannot be used"));
  cudaStreamSynchronize(c.stream);
}

void packs(const Convolution& c) {
  const BarePlan plan(c.graph, c.handle);
  std::vector<int64_t> numbers;
  std::vector<void*> pointers;
  plan.graph.bind({c.x, c.w, c.y}, numbers, pointers);
  CHECK(plan.run(numbers, pointers, c.workspace).empty());
  std::vector<void*> odd = pointers;
  odd[0] = static_cast<char*>(c.x) + 2;
  CHECK_THAT(plan.run(numbers, odd, c.workspace), Contains("not aligned as promised"));
  std::vector<int64_t> more = numbers;
  more.push_back(99);
  CHECK_THAT(plan.run(more, pointers, c.workspace), Contains("not as many addresses as numbers"));
  std::vector<void*> another = pointers;
  another.push_back(c.x);
  CHECK_THAT(plan.run(more, another, c.workspace), Contains("tensors that the graph does not have"));

  // The mask of BatchNorm's ReLU is y > 0; the zero is the last constant.
  const Graph norm = batch_norm_training_graph({1, 2, 2, 8}, DType::f16, {.relu = true});
  const BarePlan masked(norm, c.handle);
  std::vector<void*> memory;
  for (const GraphTensor& t : norm.tensors)
    if (!t.is_virtual) cudaMalloc(&memory.emplace_back(), 256);
  masked.graph.bind(memory, numbers, pointers);
  CHECK(masked.run(numbers, pointers, c.workspace).empty());
  float one = 1;
  pointers.back() = &one;
  CHECK_THAT(masked.run(numbers, pointers, c.workspace), Contains("something else than zero"));
  cudaStreamSynchronize(c.stream);
  for (void* m : memory) cudaFree(m);
}

}  // namespace

void wrong_calls_of_cudnn() {
  const Convolution c;
  attributes();
  ends();
  graphs(c);
  plans(c);
  packs(c);
}

}  // namespace dura::cuda::stand_in
