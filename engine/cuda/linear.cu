// The dense layer: three matrix products of the driver, and the sum of the bias' gradient. What the driver has no algorithm for, rows of
// two 16-bit classes say, is multiplied by a kernel of ours.
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

// A warp for each element of c; see Product.
template <class T>
__global__ void product_kernel(Product p, const T* a, const T* b, const T* bias, T* c) {
  const int64_t i = warp_index();
  if (i >= p.m * p.n) return;
  const int64_t row = i / p.n, column = i % p.n;
  float sum = 0;
  for (int64_t k = lane_index(); k < p.k; k += 32)
    sum += load(a[p.transpose_a ? k * p.m + row : row * p.k + k]) * load(b[p.transpose_b ? column * p.k + k : k * p.n + column]);
  sum = warp_sum(sum);
  if (lane_index() == 0) put(c + i, bias ? sum + load(bias[column]) : sum, p.accumulate);
}

// c = a b, or with `accumulate` c + a b. The caller says where a factor is stored transposed.
Product product_of(const Tensor& a, const Tensor& b, std::array<int64_t, 3> mnk, const Tensor& c, bool accumulate) {
  const auto [m, n, k] = mnk;
  return {.m = m, .n = n, .k = k, .accumulate = accumulate, .dtype = a.dtype(), .a = a.raw(), .b = b.raw(), .c = c.raw()};
}

}  // namespace

void CudaBackend::multiply(const Product& p) {
  if (driver_.product(p, stream_)) return;
  dispatch("product", p.dtype, [&]<class T>(T) {
    start("product", product_kernel<T>, warps_over(p.m * p.n), p, static_cast<const T*>(p.a), static_cast<const T*>(p.b),
          static_cast<const T*>(p.bias), static_cast<T*>(p.c));
  });
}

void CudaBackend::linear_forward(const Tensor& x, const Tensor& w, const Tensor& b, const Tensor& y) {
  Product p = product_of(x, w, {x.shape()[0], w.shape()[0], x.shape()[1]}, y, false);
  p.transpose_b = true;
  if (b.defined()) p.bias = b.raw();
  multiply(p);
}

void CudaBackend::linear_backward_data(const Tensor& dy, const Tensor& w, GradTarget dx) {
  multiply(product_of(dy, w, {dy.shape()[0], w.shape()[1], w.shape()[0]}, dx.tensor, dx.accumulate));
}

void CudaBackend::linear_backward_weight(const Tensor& x, const Tensor& dy, GradTarget dw, GradTarget db) {
  const int64_t N = dy.shape()[0], K = dy.shape()[1];
  if (dw.wanted()) {
    Product p = product_of(dy, x, {K, x.shape()[1], N}, dw.tensor, dw.accumulate);
    p.transpose_a = true;
    multiply(p);
  }
  if (db.wanted())
    dispatch("linear_backward_weight", dy.dtype(),
             [&]<class T>(T) { start("column_sum", column_sum_kernel<T>, grid_over(K), dy, N, K, db.tensor, db.accumulate); });
}

}  // namespace DURA_CUDA_BUILD
}  // namespace dura::cuda
