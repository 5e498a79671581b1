#include "engine/cuda/card/cublas_product.h"

#include <cublasLt.h>

#include <cstdint>
#include <map>
#include <tuple>
#include <utility>

#include "engine/base/log.h"
#include "engine/cuda/card/shared_library.h"

namespace dura::cuda {

struct CublasProducts::Library {
  // Its version is the toolkit's: libcublasLt.so.13 belongs to CUDA 13.
  SharedLibrary file{concat("libcublasLt.so.", CUBLAS_VER_MAJOR), folders()};
  DURA_LIBRARY_FUNCTION(status_string, cublasLtGetStatusString);
  DURA_LIBRARY_FUNCTION(create, cublasLtCreate);
  DURA_LIBRARY_FUNCTION(destroy, cublasLtDestroy);
  DURA_LIBRARY_FUNCTION(create_operation, cublasLtMatmulDescCreate);
  DURA_LIBRARY_FUNCTION(destroy_operation, cublasLtMatmulDescDestroy);
  DURA_LIBRARY_FUNCTION(set_operation, cublasLtMatmulDescSetAttribute);
  DURA_LIBRARY_FUNCTION(create_layout, cublasLtMatrixLayoutCreate);
  DURA_LIBRARY_FUNCTION(destroy_layout, cublasLtMatrixLayoutDestroy);
  DURA_LIBRARY_FUNCTION(create_preference, cublasLtMatmulPreferenceCreate);
  DURA_LIBRARY_FUNCTION(destroy_preference, cublasLtMatmulPreferenceDestroy);
  DURA_LIBRARY_FUNCTION(set_preference, cublasLtMatmulPreferenceSetAttribute);
  DURA_LIBRARY_FUNCTION(heuristics, cublasLtMatmulAlgoGetHeuristic);
  DURA_LIBRARY_FUNCTION(multiply, cublasLtMatmul);

  // Where it lay while building, and where Python's packages have it beside cuDNN.
  static std::vector<std::string> folders() {
    std::vector<std::string> all = split_folders(DURA_CUBLAS_FOLDERS);
    for (const std::string& cudnn : split_folders(DURA_CUDNN_FOLDERS))
      for (const std::string& package : {concat("cu", CUBLAS_VER_MAJOR), std::string("cublas")})
        all.push_back(concat(cudnn, "/../../", package, "/lib"));
    return all;
  }
  static const Library& opened() {
    static const Library library;
    return library;
  }
};

namespace {

std::string text(const Product& p) {
  return concat("product ", dtype_name(p.dtype), " (", p.m, ",", p.k, ")", p.transpose_a ? "^T" : "", " (", p.k, ",", p.n, ")",
                p.transpose_b ? "^T" : "", p.bias ? " + bias" : "", p.accumulate ? ", accumulated" : "");
}

cudaDataType_t data_type(const Product& p) {
  if (p.dtype == DType::f32) return CUDA_R_32F;
  if (p.dtype == DType::f16) return CUDA_R_16F;
  if (p.dtype == DType::bf16) return CUDA_R_16BF;
  fail(text(p), ": a card multiplies f32, f16 and bf16");
}

// The largest power of two up to 16, the widest load, that divides an address: a product has one algorithm wherever its tensors begin.
uint32_t alignment_of(const void* address) {
  const auto bits = reinterpret_cast<uintptr_t>(address) | 16;
  return static_cast<uint32_t>(bits & (~bits + 1));
}

}  // namespace

// cublasLt stores matrices column after column. Read so, row-major a (m,k) is (k,m), and c^T = b^T a^T: b comes first, then a.
struct CublasProducts::Plan {
  explicit Plan(const Library& library) : lib(library) {}
  Plan(const Plan&) = delete;
  ~Plan() {
    if (operation) lib.destroy_operation(operation);
    for (cublasLtMatrixLayout_t layout : {first, second, result})
      if (layout) lib.destroy_layout(layout);
  }

  const Library& lib;
  cublasLtMatmulDesc_t operation = nullptr;
  cublasLtMatrixLayout_t first = nullptr, second = nullptr, result = nullptr;
  bool has_algorithm = false;
  cublasLtMatmulAlgo_t algorithm{};
};

struct CublasProducts::Plans {
  using Key = std::tuple<int64_t, int64_t, int64_t, bool, bool, bool, bool, bool, DType, uint32_t, uint32_t, uint32_t, uint32_t>;
  cublasLtHandle_t handle = nullptr;
  std::map<Key, std::unique_ptr<Plan>> all;
};

namespace {

void check(cublasStatus_t status, const char* (*words)(cublasStatus_t), const Product& p) {
  if (status == CUBLAS_STATUS_ALLOC_FAILED) throw OutOfMemory("out of memory: cublasLt, " + text(p));
  DURA_CHECK(status == CUBLAS_STATUS_SUCCESS, "cublasLt, ", text(p), ": ", words(status), " (", static_cast<int>(status), ")");
}

}  // namespace

void CublasProducts::open() { Library::opened(); }

CublasProducts::CublasProducts() : plans_(std::make_unique<Plans>()) {
  const cublasStatus_t status = Library::opened().create(&plans_->handle);
  DURA_CHECK(status == CUBLAS_STATUS_SUCCESS, "cublasLt cannot be used: ", Library::opened().status_string(status));
}

CublasProducts::~CublasProducts() {
  plans_->all.clear();
  if (plans_->handle) Library::opened().destroy(plans_->handle);
}

const CublasProducts::Plan& CublasProducts::plan(const Product& p, bool tf32) {
  const uint32_t align_a = alignment_of(p.a), align_b = alignment_of(p.b), align_c = alignment_of(p.c);
  std::unique_ptr<Plan>& slot = plans_->all[{p.m, p.n, p.k, p.transpose_a, p.transpose_b, p.accumulate, p.bias != nullptr, tf32, p.dtype,
                                             align_a, align_b, align_c, alignment_of(p.bias)}];
  if (slot) return *slot;
  const Library& lib = Library::opened();
  const auto ok = [&](cublasStatus_t status) { check(status, lib.status_string, p); };
  auto made = std::make_unique<Plan>(lib);
  const cudaDataType_t type = data_type(p);
  ok(lib.create_operation(&made->operation, tf32 && p.dtype == DType::f32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F));
  const auto set = [&](cublasLtMatmulDescAttributes_t attribute, const auto& value) {
    ok(lib.set_operation(made->operation, attribute, &value, sizeof(value)));
  };
  set(CUBLASLT_MATMUL_DESC_TRANSA, p.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(CUBLASLT_MATMUL_DESC_TRANSB, p.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
  if (p.bias) {
    set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
    set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias);
  }
  const auto layout = [&](cublasLtMatrixLayout_t& l, int64_t rows, int64_t columns) {
    ok(lib.create_layout(&l, type, static_cast<uint64_t>(rows), static_cast<uint64_t>(columns), rows));
  };
  p.transpose_b ? layout(made->first, p.k, p.n) : layout(made->first, p.n, p.k);
  p.transpose_a ? layout(made->second, p.m, p.k) : layout(made->second, p.k, p.m);
  layout(made->result, p.n, p.m);

  cublasLtMatmulPreference_t preference = nullptr;
  ok(lib.create_preference(&preference));
  const std::unique_ptr<std::remove_pointer_t<cublasLtMatmulPreference_t>, decltype(lib.destroy_preference)> owner(preference,
                                                                                                                   lib.destroy_preference);
  const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
    ok(lib.set_preference(preference, attribute, &value, sizeof(value)));
  };
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t{product_workspace_bytes});
  prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, align_b);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, align_a);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, align_c);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, align_c);
  cublasLtMatmulHeuristicResult_t best{};
  int found = 0;
  const cublasStatus_t answer =
      lib.heuristics(plans_->handle, made->operation, made->first, made->second, made->result, made->result, preference, 1, &best, &found);
  if (answer != CUBLAS_STATUS_NOT_SUPPORTED) ok(answer);
  made->has_algorithm = answer == CUBLAS_STATUS_SUCCESS && found == 1 && best.state == CUBLAS_STATUS_SUCCESS;
  if (!made->has_algorithm) log_warning("cublasLt has no algorithm for the ", text(p), "; a kernel of dura's computes it");
  made->algorithm = best.algo;
  slot = std::move(made);
  return *slot;
}

bool CublasProducts::run(const Product& p, bool tf32, void* workspace, void* stream) {
  const Library& lib = Library::opened();
  const Plan& plan_for_it = plan(p, tf32);
  if (!plan_for_it.has_algorithm) return false;
  if (p.bias)
    check(lib.set_operation(plan_for_it.operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &p.bias, sizeof(p.bias)), lib.status_string, p);
  const float one = 1, beta = p.accumulate ? 1.0f : 0.0f;
  check(lib.multiply(plans_->handle, plan_for_it.operation, &one, p.b, plan_for_it.first, p.a, plan_for_it.second, &beta, p.c,
                     plan_for_it.result, p.c, plan_for_it.result, &plan_for_it.algorithm, workspace, product_workspace_bytes,
                     static_cast<cudaStream_t>(stream)),
        lib.status_string, p);
  return true;
}

std::string cublas_missing() { return why_not(CublasProducts::open); }

}  // namespace dura::cuda
