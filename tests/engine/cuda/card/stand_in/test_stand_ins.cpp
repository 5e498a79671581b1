// Each check of the stand-ins, proven by a wrong call that it catches.
#include "tests/support/catch.h"

#include <cublasLt.h>

#include "engine/cuda/card/cudnn_graph.h"
#include "engine/cuda/card/cudnn_plan.h"
#include "tests/engine/cuda/card/stand_in/stand_in.h"

using namespace dura;
using namespace dura::cuda;

namespace {

// The complaint about what `call` does; "" where there is none.
std::string complaint(const std::function<void()>& call) {
  stand_in::complaints().clear();
  try {
    call();
  } catch (const Error&) {
  }
  const std::string first = stand_in::complaints().empty() ? "" : stand_in::complaints().front();
  stand_in::complaints().clear();
  stand_in::repair();
  cudaGetLastError();
  return first;
}

CudnnDescriptor tensor() { return {CUDNN_BACKEND_TENSOR_DESCRIPTOR, "tensor"}; }

// A convolution with everything that it needs.
struct Convolution {
  Graph graph = conv_graph({.N = 1, .H = 2, .W = 2, .C = 8, .K = 8, .R = 1, .S = 1, .P = 2, .Q = 2}, DType::f16, {.relu = true});
  cudnnHandle_t handle = nullptr;
  cudaStream_t stream = nullptr;
  void *x = nullptr, *w = nullptr, *y = nullptr, *workspace = nullptr;

  Convolution() {
    cudnn().create(&handle);
    cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    cudnn().set_stream(handle, stream);
    for (void** p : {&x, &w, &y}) cudaMalloc(p, 256);
    cudaMalloc(&workspace, 1024);
  }
  ~Convolution() {
    for (void* p : {x, w, y, workspace}) cudaFree(p);
    cudaStreamDestroy(stream);
    cudnn().destroy(handle);
  }
  CudnnPlan plan() const { return CudnnPlan::best(graph, PlanTarget::of_handle(handle), plan_workspace_cap); }
};

}  // namespace

TEST_CASE("the stand-in of cuDNN finds attributes of a wrong kind, type, count or time", "[card][stand-in]") {
  const int64_t one = 1;
  const std::vector<int64_t> nine(9, 1);
  CHECK_THAT(complaint([&] { tensor().set(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT32, 1); }), Catch::Contains("of type 3, not 23"));
  CHECK_THAT(complaint([&] { tensor().set(CUDNN_ATTR_TENSOR_DIMENSIONS, nine); }), Catch::Contains("was given 9 values"));
  CHECK_THAT(complaint([&] { tensor().set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_INT64, one); }), Catch::Contains("has no attribute 0"));
  CHECK_THAT(complaint([&] { tensor().finalize(); }), Catch::Contains("finalized without attribute"));
  CHECK_THAT(complaint([&] { tensor().get_int64(CUDNN_ATTR_TENSOR_UNIQUE_ID); }),
             Catch::Contains("read before the descriptor is finalized"));
  CHECK_THAT(complaint([&] {
               CudnnDescriptor d(CUDNN_BACKEND_POINTWISE_DESCRIPTOR, "pointwise");
               d.set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, CUDNN_POINTWISE_ADD);
               d.set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT);
               d.finalize();
               d.set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, CUDNN_POINTWISE_MUL);
             }),
             Catch::Contains("set after the descriptor was finalized"));
  CHECK_THAT(complaint([&] {
               const CudnnDescriptor unfinished(CUDNN_BACKEND_POINTWISE_DESCRIPTOR, "pointwise");
               CudnnDescriptor d(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, "operation");
               d.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, unfinished);
             }),
             Catch::Contains("not finalized"));
}

TEST_CASE("the stand-in of cuDNN finds what is used after its end, and what ends twice", "[card][stand-in]") {
  cudnnBackendDescriptor_t d = nullptr;
  cudnn().create_descriptor(CUDNN_BACKEND_TENSOR_DESCRIPTOR, &d);
  cudnn().destroy_descriptor(d);
  CHECK_THAT(complaint([&] { cudnn().finalize(d); }), Catch::Contains("used after its end"));
  CHECK_THAT(complaint([&] { cudnn().destroy_descriptor(d); }), Catch::Contains("ends twice"));
  cudnnHandle_t handle = nullptr;
  cudnn().create(&handle);
  cudnn().destroy(handle);
  CHECK_THAT(complaint([&] { cudnn().set_stream(handle, nullptr); }), Catch::Contains("handle is used after its end"));
}

TEST_CASE("the stand-in of cuDNN finds addresses, workspaces and settings that a plan was not made for", "[card][stand-in]") {
  Convolution c;
  const CudnnPlan plan = c.plan();
  CHECK(plan.choice().engine == 4);
  CHECK(plan.workspace_bytes() == 1000);
  const auto run = [&](std::vector<void*> addresses, void* workspace) {
    return complaint([&] { plan.run(c.handle, addresses, workspace); });
  };
  CHECK(run({c.x, c.w, c.y}, c.workspace).empty());
  CHECK_THAT(run({c.x, nullptr, c.y}, c.workspace), Catch::Contains("has no address"));
  CHECK_THAT(run({c.x, c.w, c.y}, nullptr), Catch::Contains("the workspace is missing"));
  CHECK_THAT(run({c.x, c.w, c.y}, static_cast<char*>(c.workspace) + 64), Catch::Contains("not aligned to 256"));
  CHECK_THAT(run({c.x, c.w, c.y}, c.x), Catch::Contains("reach behind the end"));  // 256 bytes where 1000 were promised
  std::vector<float> host(64);
  CHECK_THAT(run({c.x, host.data(), c.y}, c.workspace), Catch::Contains("it is the host's") || Catch::Contains("not aligned"));
  CHECK_THAT(complaint([&] {
               const PlanChoice other{.engine = 4, .knobs = {{2, 15}, {13, 32}}};
               CudnnPlan(c.graph, PlanTarget::of_handle(c.handle), other);
             }),
             Catch::Contains("other settings than were offered"));
  CHECK_THAT(complaint([&] { CudnnPlan(c.graph, PlanTarget::of_handle(c.handle), {.engine = 77, .knobs = {}}); }),
             Catch::Contains("no such engine"));
  cudaStreamSynchronize(c.stream);
}

TEST_CASE("the stand-in of CUDA's runtime finds what capture forbids, what is used after its end, and bad copies", "[card][stand-in]") {
  Convolution c;
  const auto captured = [&](const std::function<void()>& call) {
    cudaStreamBeginCapture(c.stream, cudaStreamCaptureModeGlobal);
    const std::string found = complaint(call);
    cudaGraph_t graph = nullptr;
    CHECK(cudaStreamEndCapture(c.stream, &graph) == cudaErrorStreamCaptureInvalidated);
    CHECK(graph == nullptr);
    return found;
  };
  void* memory = nullptr;
  std::vector<char> host(64);
  CHECK_THAT(captured([&] { cudaMalloc(&memory, 64); }), Catch::Contains("cudaErrorStreamCaptureUnsupported"));
  CHECK_THAT(captured([&] { cudaStreamSynchronize(c.stream); }), Catch::Contains("cudaErrorStreamCaptureUnsupported"));
  CHECK_THAT(captured([&] { cudaStreamQuery(nullptr); }), Catch::Contains("cudaErrorStreamCaptureUnsupported"));
  CHECK_THAT(captured([&] { cudaMemcpyAsync(c.x, host.data(), 64, cudaMemcpyHostToDevice, c.stream); }),
             Catch::Contains("unpinned memory"));
  CHECK_THAT(complaint([&] { cudaMemcpyAsync(static_cast<char*>(c.x) + 255, c.w, 2, cudaMemcpyDeviceToDevice, c.stream); }),
             Catch::Contains("reach behind the end"));
  cudaStream_t gone = nullptr;
  cudaStreamCreateWithFlags(&gone, cudaStreamNonBlocking);
  cudaStreamDestroy(gone);
  CHECK_THAT(complaint([&] { cudaStreamSynchronize(gone); }), Catch::Contains("no such stream (any more)"));
  cudaEvent_t event = nullptr;
  cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
  cudaEventDestroy(event);
  CHECK_THAT(complaint([&] { cudaEventRecord(event, c.stream); }), Catch::Contains("no such event (any more)"));
  CHECK_THAT(complaint([&] { cudaFree(c.workspace), cudaFree(c.workspace); }), Catch::Contains("no such allocation (any more)"));
  c.workspace = nullptr;
  const auto unknown = [] {};
  CHECK_THAT(complaint([&] { cudaLaunchKernel(reinterpret_cast<const void*>(+unknown), 1, 1, nullptr, 0, c.stream); }),
             Catch::Contains("no such kernel"));
}

TEST_CASE("a missing wait between streams gives a wrong copy in some order of the stand-in's device", "[card][stand-in]") {
  const auto copied = [](uint64_t seed, bool waits) {
    stand_in::device().set_seed(seed);
    Convolution c;
    cudaStream_t second = nullptr;
    cudaEvent_t written = nullptr;
    cudaStreamCreateWithFlags(&second, cudaStreamNonBlocking);
    cudaEventCreateWithFlags(&written, cudaEventDisableTiming);
    float value = 7, result = 0;
    cudaMemcpyAsync(c.x, &value, sizeof value, cudaMemcpyHostToDevice, c.stream);
    cudaEventRecord(written, c.stream);
    if (waits) cudaStreamWaitEvent(second, written, 0);
    cudaMemcpyAsync(&result, c.x, sizeof result, cudaMemcpyDeviceToHost, second);
    cudaStreamSynchronize(second), cudaStreamSynchronize(c.stream);
    cudaStreamDestroy(second), cudaEventDestroy(written);
    stand_in::device().set_seed(0);
    return result;
  };
  bool noticed = false;
  for (uint64_t seed = 0; seed < 12; ++seed) {
    CHECK(copied(seed, true) == 7);
    noticed = noticed || copied(seed, false) != 7;
  }
  CHECK(noticed);
}

TEST_CASE("the stand-in of cublasLt finds sizes, matrices, alignments and workspaces that do not fit", "[card][stand-in]") {
  const SharedLibrary library(concat("libcublasLt.so.", CUBLAS_VER_MAJOR), {});
  const auto f = [&]<class F>(F*, const char* name) { return library.function<F>(name); };
#define DURA_FUNCTION(name) const auto name##_ = f(static_cast<decltype(&name)>(nullptr), #name)
  DURA_FUNCTION(cublasLtCreate);
  DURA_FUNCTION(cublasLtDestroy);
  DURA_FUNCTION(cublasLtMatmulDescCreate);
  DURA_FUNCTION(cublasLtMatmulDescDestroy);
  DURA_FUNCTION(cublasLtMatrixLayoutCreate);
  DURA_FUNCTION(cublasLtMatmulPreferenceCreate);
  DURA_FUNCTION(cublasLtMatmulPreferenceSetAttribute);
  DURA_FUNCTION(cublasLtMatmulAlgoGetHeuristic);
  DURA_FUNCTION(cublasLtMatmul);
#undef DURA_FUNCTION
  Convolution c;
  cublasLtHandle_t handle = nullptr;
  cublasLtMatmulDesc_t operation = nullptr;
  cublasLtMatrixLayout_t square = nullptr, wide = nullptr;
  cublasLtMatmulPreference_t preference = nullptr;
  cublasLtCreate_(&handle);
  cublasLtMatmulDescCreate_(&operation, CUBLAS_COMPUTE_32F, CUDA_R_32F);
  cublasLtMatrixLayoutCreate_(&square, CUDA_R_32F, 4, 4, 4);
  cublasLtMatrixLayoutCreate_(&wide, CUDA_R_32F, 4, 8, 4);
  cublasLtMatmulPreferenceCreate_(&preference);
  CHECK_THAT(complaint([&] {
               cublasLtMatrixLayout_t l;
               cublasLtMatrixLayoutCreate_(&l, CUDA_R_32F, 4, 4, 3);
             }),
             Catch::Contains("closer than they are long"));
  const uint64_t workspace = 512;
  CHECK_THAT(complaint([&] { cublasLtMatmulPreferenceSetAttribute_(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, 4); }),
             Catch::Contains("an attribute of 8 bytes was given 4"));
  cublasLtMatmulPreferenceSetAttribute_(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, 8);
  cublasLtMatmulHeuristicResult_t result{};
  int found = 0;
  const auto ask = [&](cublasLtMatrixLayout_t second) {
    return cublasLtMatmulAlgoGetHeuristic_(handle, operation, square, second, square, square, preference, 1, &result, &found);
  };
  CHECK_THAT(complaint([&] { ask(square); }), Catch::Contains("partial sums may be rounded"));
  const uint32_t scheme = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
  cublasLtMatmulPreferenceSetAttribute_(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &scheme, 4);
  CHECK_THAT(complaint([&] { ask(wide); }), Catch::Contains("do not fit"));
  REQUIRE(ask(square) == CUBLAS_STATUS_SUCCESS);
  const float one = 1, zero = 0;
  const auto multiply = [&](const void* a, void* space, size_t bytes, const cublasLtMatmulAlgo_t& algorithm) {
    return complaint([&] {
      cublasLtMatmul_(handle, operation, &one, a, square, c.w, square, &zero, c.y, square, c.y, square, &algorithm, space, bytes, c.stream);
    });
  };
  CHECK(multiply(c.x, c.workspace, 512, result.algo).empty());
  CHECK_THAT(multiply(static_cast<char*>(c.x) + 16, c.workspace, 512, result.algo), Catch::Contains("aligned to less"));
  CHECK_THAT(multiply(c.x, c.workspace, 100, result.algo), Catch::Contains("workspace is smaller"));
  CHECK_THAT(multiply(c.x, c.x, 512, result.algo), Catch::Contains("reach behind the end"));
  CHECK_THAT(multiply(c.x, c.workspace, 512, {}), Catch::Contains("never chosen"));
  cudaStreamSynchronize(c.stream);
  cublasLtMatmulDescDestroy_(operation);
  CHECK_THAT(complaint([&] { ask(square); }), Catch::Contains("after its end"));
  cublasLtDestroy_(handle);
}
