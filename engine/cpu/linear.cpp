// The dense layer: f32 and the 16-bit forward pass through our own kernels, the rest through Eigen. It is small here (2048 x 2, at most
// 2048 x 1000), so what else is stored in 16 bits is widened as a whole.
#include <Eigen/Core>

#include "engine/cpu/cpu_backend.h"
#include "engine/cpu/element.h"
#include "engine/cpu/gemm_f32.h"

namespace dura {

using cpu::dispatch_floating;
using cpu::Element;
using cpu::gemm_f32;

namespace {

template <class C>
using Matrix = Eigen::Matrix<C, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

template <class T>
Matrix<typename Element<T>::Compute> widen(const Tensor& t, int64_t rows, int64_t columns) {
  Matrix<typename Element<T>::Compute> out(rows, columns);
  const T* p = t.data<T>();
  for (int64_t i = 0; i < rows * columns; ++i) out.data()[i] = Element<T>::load(p[i]);
  return out;
}

template <class T, class M>
void narrow(const M& from, GradTarget to) {
  T* p = to.tensor.data<T>();
  for (int64_t i = 0; i < from.size(); ++i) cpu::put(p, i, from.data()[i], to.accumulate);
}

}  // namespace

void CpuBackend::linear_forward(const Tensor& x, const Tensor& w, const Tensor& b, const Tensor& y) {
  const int64_t N = x.shape()[0], C = x.shape()[1], K = w.shape()[0];
  if (x.dtype() == DType::f32)
    return gemm_f32({.m = N,
                     .n = K,
                     .depth = C,
                     .a = x.data<float>(),
                     .b = {w.raw(), cpu::stored_f32},
                     .transpose_b = true,
                     .bias = cpu::data_or_null<float>(b),
                     .c = y.data<float>()});
  dispatch_floating("linear_forward", x.dtype(), [&]<class T>(T) {
    using Number = typename Element<T>::Compute;
    const Matrix<Number> rows = widen<T>(x, N, C);
    Matrix<Number> out(N, K);
    if constexpr (std::is_same_v<T, double>) {
      out.noalias() = rows * widen<T>(w, K, C).transpose();
    } else {
      cpu::gemm_f32(
          {.m = N, .n = K, .depth = C, .a = rows.data(), .b = {w.raw(), cpu::stored_as(w.dtype())}, .transpose_b = true, .c = out.data()});
    }
    if (b.defined()) out.rowwise() += widen<T>(b, 1, K).row(0);
    narrow<T>(out, {y, false});
  });
}

void CpuBackend::linear_backward_data(const Tensor& dy, const Tensor& w, GradTarget dx) {
  const int64_t N = dy.shape()[0], K = w.shape()[0], C = w.shape()[1];
  if (dy.dtype() == DType::f32)
    return gemm_f32({.m = N,
                     .n = C,
                     .depth = K,
                     .a = dy.data<float>(),
                     .b = {w.raw(), cpu::stored_f32},
                     .accumulate = dx.accumulate,
                     .c = dx.tensor.data<float>()});
  dispatch_floating("linear_backward_data", dy.dtype(), [&]<class T>(T) {
    const Matrix<typename Element<T>::Compute> out = widen<T>(dy, N, K) * widen<T>(w, K, C);
    narrow<T>(out, dx);
  });
}

void CpuBackend::linear_backward_weight(const Tensor& x, const Tensor& dy, GradTarget dw, GradTarget db) {
  const int64_t N = dy.shape()[0], K = dy.shape()[1];
  const bool f32 = dy.dtype() == DType::f32;
  if (f32 && dw.wanted()) {
    gemm_f32({.m = K,
              .n = x.shape()[1],
              .depth = N,
              .a = dy.data<float>(),
              .b = {x.raw(), cpu::stored_f32},
              .transpose_a = true,
              .accumulate = dw.accumulate,
              .c = dw.tensor.data<float>()});
  }
  dispatch_floating("linear_backward_weight", dy.dtype(), [&]<class T>(T) {
    using M = Matrix<typename Element<T>::Compute>;
    const M g = widen<T>(dy, N, K);
    if (dw.wanted() && !f32) {
      const M out = g.transpose() * widen<T>(x, N, x.shape()[1]);
      narrow<T>(out, dw);
    }
    if (db.wanted()) {
      const M out = g.colwise().sum();
      narrow<T>(out, db);
    }
  });
}

}  // namespace dura
