// Wrong calls, by the library that they go to: each must be caught by the check that is there for it. test_stand_ins.cpp makes all of them.
#pragma once
#include <cuda_runtime_api.h>

#include <functional>
#include <string>

#include "engine/cuda/card/cudnn_library.h"
#include "engine/cuda/card/cudnn_plan.h"
#include "tests/engine/cuda/card/stand_in/stand_in.h"
#include "tests/support/catch.h"

namespace dura::cuda::stand_in {

void wrong_calls_of_cudnn();
void wrong_calls_of_cublas();
void wrong_calls_of_runtime();
void wrong_calls_of_nccl();

// The first complaint about what `call` does; "" where there is none.
inline std::string complaint(const std::function<void()>& call) {
  complaints().clear();
  try {
    call();
  } catch (const Error&) {
  }
  const std::string first = complaints().empty() ? "" : complaints().front();
  complaints().clear();
  repair();
  cudaGetLastError();
  return first;
}

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

}  // namespace dura::cuda::stand_in
