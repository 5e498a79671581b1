// Stands in for libcublasLt: the functions that engine/cuda/card calls, with NVIDIA's rules for the sizes of attributes, computed by the
// interpreter of the simulated device.
#include <cublasLt.h>

#include <cstring>
#include <optional>
#include <set>

#include "engine/cuda/sim/interpreter.h"
#include "tests/engine/cuda/card/stand_in/stand_in.h"

using namespace dura;
using namespace dura::cuda;
using stand_in::alive;
using stand_in::complain;
using stand_in::injected;

namespace {

struct Multiplication {
  cublasComputeType_t compute;
  int32_t transpose_first = CUBLAS_OP_N, transpose_second = CUBLAS_OP_N;
  uint32_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  const void* bias = nullptr;
};
struct Layout {
  cudaDataType type;
  uint64_t rows, columns;
};
struct Preference {
  uint64_t workspace = 0;
  uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_MASK, a = 256, b = 256, c = 256, d = 256;
};
// What an algorithm was chosen for: it counts on no more.
struct Choice {
  uint64_t magic;
  uint32_t a, b, c;
  uint64_t workspace;
};
constexpr uint64_t magic = 0xd17a;
static_assert(sizeof(Choice) <= sizeof(cublasLtMatmulAlgo_t));

std::set<const void*> living;

template <class T>
cublasStatus_t make(const char* kind, void** handle, T value) {
  if (injected("cublasLt, making")) return CUBLAS_STATUS_ALLOC_FAILED;
  *handle = new T(value);  // never freed, so that no address is used again
  living.insert(*handle);
  ++alive()[kind];
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t end(const char* kind, const void* handle) {
  if (living.erase(handle) == 0) return complain<"cublasLt: something ends twice">(concat(": ", kind)), CUBLAS_STATUS_INVALID_VALUE;
  --alive()[kind];
  return CUBLAS_STATUS_SUCCESS;
}
// False, with a complaint, where one of them has ended.
bool all_alive(std::initializer_list<const void*> handles) {
  for (const void* h : handles)
    if (living.count(h) == 0) return complain<"cublasLt: a handle or descriptor is used after its end">();
  return true;
}

template <class T>
cublasStatus_t set(T& to, const void* from, size_t bytes) {
  if (bytes != sizeof(T))
    return complain<"cublasLt: an attribute of another size">(concat(": of ", sizeof(T), " bytes, it was given ", bytes)),
           CUBLAS_STATUS_INVALID_VALUE;
  if (injected("cublasLt, attribute")) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(&to, from, sizeof(T));
  return CUBLAS_STATUS_SUCCESS;
}

template <class T>
const T& as(const void* handle) {
  return *static_cast<const T*>(handle);
}

std::optional<DType> type_of(cudaDataType type) {
  if (type == CUDA_R_32F) return DType::f32;
  if (type == CUDA_R_16F) return DType::f16;
  if (type == CUDA_R_16BF) return DType::bf16;
  return std::nullopt;
}

// The product that column-major descriptors describe: c^T = second^T first^T, row after row. Nothing, with a complaint, where they do not
// fit.
std::optional<Product> product_of(const Multiplication& o, const Layout& first, const Layout& second, const Layout& result) {
  Product p{.m = static_cast<int64_t>(result.columns),
            .n = static_cast<int64_t>(result.rows),
            .transpose_a = o.transpose_second == CUBLAS_OP_T,
            .transpose_b = o.transpose_first == CUBLAS_OP_T};
  const auto k = p.transpose_b ? first.rows : first.columns, n = p.transpose_b ? first.columns : first.rows;
  const auto k_again = p.transpose_a ? second.columns : second.rows, m = p.transpose_a ? second.rows : second.columns;
  const std::optional<DType> type = type_of(result.type);
  if (!type || first.type != result.type || second.type != result.type || k != k_again || n != result.rows || m != result.columns) {
    complain<"cublasLt: the matrices of a product do not fit">();
    return std::nullopt;
  }
  p.k = static_cast<int64_t>(k), p.dtype = *type;
  return p;
}

bool aligned(const void* address, uint32_t bytes) { return reinterpret_cast<uintptr_t>(address) % bytes == 0; }

}  // namespace

extern "C" {

const char* cublasLtGetStatusString(cublasStatus_t status) {
  return status == CUBLAS_STATUS_NOT_SUPPORTED   ? "not supported"
         : status == CUBLAS_STATUS_INVALID_VALUE ? "invalid value"
                                                 : "execution failed";
}
cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) { return make("cublasLt handle", reinterpret_cast<void**>(handle), 0); }
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) { return end("cublasLt handle", handle); }
cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* d, cublasComputeType_t compute, cudaDataType_t scale) {
  if (scale != CUDA_R_32F) return complain<"cublasLt: a scale that is not f32">(), CUBLAS_STATUS_INVALID_VALUE;
  return make("cublasLt operation", reinterpret_cast<void**>(d), Multiplication{.compute = compute});
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t d) { return end("cublasLt operation", d); }
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t d, cublasLtMatmulDescAttributes_t attribute, const void* from,
                                              size_t bytes) {
  if (!all_alive({d})) return CUBLAS_STATUS_INVALID_VALUE;
  auto& o = *reinterpret_cast<Multiplication*>(d);
  if (attribute == CUBLASLT_MATMUL_DESC_TRANSA) return set(o.transpose_first, from, bytes);
  if (attribute == CUBLASLT_MATMUL_DESC_TRANSB) return set(o.transpose_second, from, bytes);
  if (attribute == CUBLASLT_MATMUL_DESC_EPILOGUE) return set(o.epilogue, from, bytes);
  if (attribute == CUBLASLT_MATMUL_DESC_BIAS_POINTER) return set(o.bias, from, bytes);
  return complain<"cublasLt: an operation has no such attribute">(concat(": ", int(attribute))), CUBLAS_STATUS_NOT_SUPPORTED;
}
cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* l, cudaDataType type, uint64_t rows, uint64_t columns, int64_t step) {
  if (step < static_cast<int64_t>(rows))
    return complain<"cublasLt: columns of a matrix lie closer than they are long">(), CUBLAS_STATUS_INVALID_VALUE;
  return make("cublasLt layout", reinterpret_cast<void**>(l), Layout{type, rows, columns});
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t l) { return end("cublasLt layout", l); }
cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* p) {
  return make("cublasLt preference", reinterpret_cast<void**>(p), Preference{});
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t p) { return end("cublasLt preference", p); }
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t handle, cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void* from, size_t bytes) {
  if (!all_alive({handle})) return CUBLAS_STATUS_INVALID_VALUE;
  auto& p = *reinterpret_cast<Preference*>(handle);
  switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
      return set(p.workspace, from, bytes);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
      return set(p.reductions, from, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
      return set(p.a, from, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
      return set(p.b, from, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
      return set(p.c, from, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
      return set(p.d, from, bytes);
    default:
      return complain<"cublasLt: a preference has no such attribute">(concat(": ", int(attribute))), CUBLAS_STATUS_NOT_SUPPORTED;
  }
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation, cublasLtMatrixLayout_t first,
                                              cublasLtMatrixLayout_t second, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int wanted, cublasLtMatmulHeuristicResult_t results[],
                                              int* found) {
  *found = 0;
  if (!all_alive({handle, operation, first, second, c, d, preference}) || wanted < 1) return CUBLAS_STATUS_INVALID_VALUE;
  const std::optional<Product> p = product_of(as<Multiplication>(operation), as<Layout>(first), as<Layout>(second), as<Layout>(d));
  if (!p) return CUBLAS_STATUS_INVALID_VALUE;
  const auto& wishes = as<Preference>(preference);
  // Partial sums in the output's type would be less than f32.
  if (wishes.reductions != CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE)
    return complain<"cublasLt: partial sums may be rounded">(), CUBLAS_STATUS_INVALID_VALUE;
  if (injected("cublasLtMatmulAlgoGetHeuristic")) return CUBLAS_STATUS_INTERNAL_ERROR;
  if (stand_in::unsupported_product() && stand_in::unsupported_product()(*p)) return CUBLAS_STATUS_NOT_SUPPORTED;
  results[0] = {};
  const Choice choice{magic, wishes.a, wishes.b, std::max(wishes.c, wishes.d), std::min<uint64_t>(wishes.workspace, 1 << 20)};
  std::memcpy(&results[0].algo, &choice, sizeof choice);
  results[0].workspaceSize = choice.workspace;
  results[0].state = CUBLAS_STATUS_SUCCESS;
  *found = 1;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation, const void* alpha, const void* a,
                              cublasLtMatrixLayout_t first, const void* b, cublasLtMatrixLayout_t second, const void* beta, const void* c,
                              cublasLtMatrixLayout_t layout_c, void* d, cublasLtMatrixLayout_t layout_d,
                              const cublasLtMatmulAlgo_t* algorithm, void* workspace, size_t workspace_bytes, cudaStream_t stream) {
  if (!all_alive({handle, operation, first, second, layout_c, layout_d})) return CUBLAS_STATUS_INVALID_VALUE;
  const auto& o = as<Multiplication>(operation);
  std::optional<Product> p = product_of(o, as<Layout>(first), as<Layout>(second), as<Layout>(layout_d));
  if (!p) return CUBLAS_STATUS_INVALID_VALUE;
  Choice choice;
  std::memcpy(&choice, algorithm, sizeof choice);
  if (choice.magic != magic) return complain<"cublasLt: an algorithm that was never chosen">(), CUBLAS_STATUS_INVALID_VALUE;
  if (!aligned(a, choice.a) || !aligned(b, choice.b) || !aligned(d, choice.c))
    return complain<"cublasLt: a matrix is aligned to less than its algorithm was chosen for">(), CUBLAS_STATUS_INVALID_VALUE;
  if (workspace_bytes < choice.workspace || !aligned(workspace, 256))
    return complain<"cublasLt: the workspace is smaller than the algorithm wants, or not aligned to 256 bytes">(),
           CUBLAS_STATUS_INVALID_VALUE;
  if (c != d || *static_cast<const float*>(alpha) != 1)
    return complain<"cublasLt: not a product that dura has">(), CUBLAS_STATUS_INVALID_VALUE;
  if (injected("cublasLtMatmul")) return CUBLAS_STATUS_EXECUTION_FAILED;
  p->a = b, p->b = a, p->c = d, p->accumulate = *static_cast<const float*>(beta) == 1;
  if (o.epilogue == CUBLASLT_EPILOGUE_BIAS) p->bias = o.bias;
  const size_t size = dtype_size(p->dtype);
  const auto bytes = [size](int64_t rows, int64_t columns) { return static_cast<size_t>(rows * columns) * size; };
  try {
    stand_in::device().push("cublasLtMatmul",
                            {{p->a, bytes(p->m, p->k)},
                             {p->b, bytes(p->k, p->n)},
                             {p->c, bytes(p->m, p->n)},
                             {p->bias, p->bias ? bytes(1, p->n) : 0},
                             {workspace, choice.workspace}},
                            stand_in::stream_of(stream),
                            [product = *p, tf32 = o.compute == CUBLAS_COMPUTE_32F_FAST_TF32, workspace, choice] {
                              sim::multiply(product, tf32);
                              std::memset(workspace, 0xff, choice.workspace);
                            });
  } catch (const Error& e) {
    return stand_in::keep_complaint(concat("cublasLtMatmul: ", e.what())), CUBLAS_STATUS_EXECUTION_FAILED;
  }
  return CUBLAS_STATUS_SUCCESS;
}

}  // extern "C"
