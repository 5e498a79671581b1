// The dense layer: three matrix products of the driver, and the sum of the bias' gradient.
#include "engine/cuda/cuda_backend.h"

namespace dura::cuda {
inline namespace DURA_CUDA_BUILD {
namespace {

// A thread for each column; there are as many as classes, and as many rows as images.
template <class T>
__global__ void column_sum_kernel(const T* x, int64_t rows, int64_t columns, T* sum, bool accumulate) {
  const int64_t k = thread_index();
  if (k >= columns) return;
  float total = 0;
  for (int64_t n = 0; n < rows; ++n) total += load(x[n * columns + k]);
  put(sum + k, total, accumulate);
}

}  // namespace

void CudaBackend::linear_forward(const Tensor& x, const Tensor& w, const Tensor& b, const Tensor& y) {
  driver_.product({.m = x.shape()[0],
                   .n = w.shape()[0],
                   .k = x.shape()[1],
                   .transpose_b = true,
                   .dtype = x.dtype(),
                   .a = x.raw(),
                   .b = w.raw(),
                   .bias = b.defined() ? b.raw() : nullptr,
                   .c = y.raw()},
                  stream_);
}

void CudaBackend::linear_backward_data(const Tensor& dy, const Tensor& w, GradTarget dx) {
  driver_.product({.m = dy.shape()[0],
                   .n = w.shape()[1],
                   .k = w.shape()[0],
                   .accumulate = dx.accumulate,
                   .dtype = dy.dtype(),
                   .a = dy.raw(),
                   .b = w.raw(),
                   .c = dx.tensor.raw()},
                  stream_);
}

void CudaBackend::linear_backward_weight(const Tensor& x, const Tensor& dy, GradTarget dw, GradTarget db) {
  const int64_t N = dy.shape()[0], K = dy.shape()[1];
  if (dw.wanted())
    driver_.product({.m = K,
                     .n = x.shape()[1],
                     .k = N,
                     .transpose_a = true,
                     .accumulate = dw.accumulate,
                     .dtype = dy.dtype(),
                     .a = dy.raw(),
                     .b = x.raw(),
                     .c = dw.tensor.raw()},
                    stream_);
  if (db.wanted())
    dispatch("linear_backward_weight", dy.dtype(),
             [&]<class T>(T) { start("column_sum", column_sum_kernel<T>, grid_over(K), dy, N, K, db.tensor, db.accumulate); });
}

}  // namespace DURA_CUDA_BUILD
}  // namespace dura::cuda
