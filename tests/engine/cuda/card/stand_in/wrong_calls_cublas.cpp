// Wrong calls of cublasLt.
#include <cublasLt.h>

#include "engine/cuda/card/shared_library.h"
#include "tests/engine/cuda/card/stand_in/wrong_calls.h"

namespace dura::cuda::stand_in {

using Catch::Contains;

void wrong_calls_of_cublas() {
  const SharedLibrary library(concat("libcublasLt.so.", CUBLAS_VER_MAJOR), {});
  const auto f = [&]<class F>(F*, const char* name) { return library.function<F>(name); };
#define DURA_FUNCTION(name) const auto name##_ = f(static_cast<decltype(&name)>(nullptr), #name)
  DURA_FUNCTION(cublasLtCreate);
  DURA_FUNCTION(cublasLtDestroy);
  DURA_FUNCTION(cublasLtMatmulDescCreate);
  DURA_FUNCTION(cublasLtMatmulDescDestroy);
  DURA_FUNCTION(cublasLtMatmulDescSetAttribute);
  DURA_FUNCTION(cublasLtMatrixLayoutCreate);
  DURA_FUNCTION(cublasLtMatrixLayoutDestroy);
  DURA_FUNCTION(cublasLtMatmulPreferenceCreate);
  DURA_FUNCTION(cublasLtMatmulPreferenceDestroy);
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
             Contains("closer than they are long"));
  const uint64_t workspace = 512;
  CHECK_THAT(complaint([&] { cublasLtMatmulPreferenceSetAttribute_(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, 4); }),
             Contains("of 8 bytes, it was given 4"));
  CHECK_THAT(complaint([&] { cublasLtMatmulPreferenceSetAttribute_(preference, CUBLASLT_MATMUL_PREF_SEARCH_MODE, &workspace, 4); }),
             Contains("a preference has no such attribute"));
  CHECK_THAT(complaint([&] { cublasLtMatmulDescSetAttribute_(operation, CUBLASLT_MATMUL_DESC_FILL_MODE, &workspace, 4); }),
             Contains("an operation has no such attribute"));
  CHECK_THAT(complaint([&] {
               cublasLtMatmulDesc_t d;
               cublasLtMatmulDescCreate_(&d, CUBLAS_COMPUTE_32F, CUDA_R_16F);
             }),
             Contains("a scale that is not f32"));
  cublasLtMatmulPreferenceSetAttribute_(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, 8);
  cublasLtMatmulHeuristicResult_t result{};
  int found = 0;
  const auto ask = [&](cublasLtMatrixLayout_t second) {
    return cublasLtMatmulAlgoGetHeuristic_(handle, operation, square, second, square, square, preference, 1, &result, &found);
  };
  CHECK_THAT(complaint([&] { ask(square); }), Contains("partial sums may be rounded"));
  const uint32_t scheme = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
  cublasLtMatmulPreferenceSetAttribute_(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &scheme, 4);
  CHECK_THAT(complaint([&] { ask(wide); }), Contains("do not fit"));
  REQUIRE(ask(square) == CUBLAS_STATUS_SUCCESS);
  const float one = 1, zero = 0;
  const auto multiply = [&](const void* a, void* space, size_t bytes, const cublasLtMatmulAlgo_t& algorithm) {
    return complaint([&] {
      cublasLtMatmul_(handle, operation, &one, a, square, c.w, square, &zero, c.y, square, c.y, square, &algorithm, space, bytes, c.stream);
    });
  };
  CHECK(multiply(c.x, c.workspace, 512, result.algo).empty());
  CHECK_THAT(multiply(static_cast<char*>(c.x) + 16, c.workspace, 512, result.algo), Contains("aligned to less"));
  CHECK_THAT(multiply(c.x, c.workspace, 100, result.algo), Contains("workspace is smaller"));
  CHECK_THAT(multiply(c.x, c.x, 512, result.algo), Contains("reach behind the end"));
  CHECK_THAT(multiply(c.x, c.workspace, 512, {}), Contains("never chosen"));
  const float two = 2;
  CHECK_THAT(complaint([&] {
               cublasLtMatmul_(handle, operation, &two, c.x, square, c.w, square, &zero, c.y, square, c.y, square, &result.algo,
                               c.workspace, 512, c.stream);
             }),
             Contains("not a product that dura has"));
  CHECK_THAT(complaint([&] {
               cublasLtMatmul_(handle, operation, &one, c.x, square, c.w, square, &zero, c.w, square, c.y, square, &result.algo,
                               c.workspace, 512, c.stream);
             }),
             Contains("not a product that dura has"));
  cudaStreamSynchronize(c.stream);
  cublasLtMatmulDescDestroy_(operation);
  CHECK_THAT(complaint([&] { ask(square); }), Contains("after its end"));
  CHECK_THAT(complaint([&] { cublasLtMatmulDescDestroy_(operation); }), Contains("ends twice: cublasLt operation"));
  cublasLtMatrixLayoutDestroy_(square), cublasLtMatrixLayoutDestroy_(wide), cublasLtMatmulPreferenceDestroy_(preference);
  cublasLtDestroy_(handle);
}

}  // namespace dura::cuda::stand_in
