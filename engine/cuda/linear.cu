// The dense layer: three matrix products of the driver, and the sum of the bias' gradient.
#include <array>

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

// c = a b, or with `accumulate` c + a b. The caller says where a factor is stored transposed.
Product product_of(const Tensor& a, const Tensor& b, std::array<int64_t, 3> mnk, const Tensor& c, bool accumulate) {
  const auto [m, n, k] = mnk;
  return {.m = m, .n = n, .k = k, .accumulate = accumulate, .dtype = a.dtype(), .a = a.raw(), .b = b.raw(), .c = c.raw()};
}

}  // namespace

void CudaBackend::linear_forward(const Tensor& x, const Tensor& w, const Tensor& b, const Tensor& y) {
  Product p = product_of(x, w, {x.shape()[0], w.shape()[0], x.shape()[1]}, y, false);
  p.transpose_b = true;
  if (b.defined()) p.bias = b.raw();
  driver_.product(p, stream_);
}

void CudaBackend::linear_backward_data(const Tensor& dy, const Tensor& w, GradTarget dx) {
  driver_.product(product_of(dy, w, {dy.shape()[0], w.shape()[1], w.shape()[0]}, dx.tensor, dx.accumulate), stream_);
}

void CudaBackend::linear_backward_weight(const Tensor& x, const Tensor& dy, GradTarget dw, GradTarget db) {
  const int64_t N = dy.shape()[0], K = dy.shape()[1];
  if (dw.wanted()) {
    Product p = product_of(dy, x, {K, x.shape()[1], N}, dw.tensor, dw.accumulate);
    p.transpose_a = true;
    driver_.product(p, stream_);
  }
  if (db.wanted())
    dispatch("linear_backward_weight", dy.dtype(),
             [&]<class T>(T) { start("column_sum", column_sum_kernel<T>, grid_over(K), dy, N, K, db.tensor, db.accumulate); });
}

}  // namespace DURA_CUDA_BUILD
}  // namespace dura::cuda
