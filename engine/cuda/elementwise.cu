// Bytes, and element by element. W: elements that a thread takes at once (dispatch_pack).
#include "engine/cuda/cuda_backend.h"

namespace dura::cuda {
inline namespace DURA_CUDA_BUILD {
namespace {

template <class T>
__global__ void fill_kernel(T* y, T value, int64_t count) {
  const int64_t i = thread_index();
  if (i < count) y[i] = value;
}

// From f64 to 16 bits by way of f32, as on the CPU.
template <class T>
__device__ inline void narrow(T* to, double v) {
  store(to, static_cast<float>(v));
}
__device__ inline void narrow(double* to, double v) { *to = v; }

template <class From, class To>
__global__ void cast_kernel(const From* x, To* y, int64_t count) {
  const int64_t i = thread_index();
  if (i < count) narrow(y + i, static_cast<double>(load(x[i])));
}

template <class T, int W>
__global__ void add_kernel(const T* a, const T* b, T* y, int64_t count) {
  const int64_t i = thread_index() * W;
  if (i >= count) return;
  const auto first = read_pack<W>(a + i), second = read_pack<W>(b + i);
  Pack<T, W> sum;
  for (int j = 0; j < W; ++j) store(&sum.v[j], load(first.v[j]) + load(second.v[j]));
  write_pack(y + i, sum);
}

template <class T, int W>
__global__ void relu_forward_kernel(const T* x, T* y, int64_t count) {
  const int64_t i = thread_index() * W;
  if (i >= count) return;
  auto values = read_pack<W>(x + i);
  for (int j = 0; j < W; ++j) store(&values.v[j], formula::relu(load(values.v[j])));
  write_pack(y + i, values);
}

template <class T, int W>
__global__ void relu_backward_kernel(const T* dy, const T* y, T* dx, bool accumulate, int64_t count) {
  const int64_t i = thread_index() * W;
  if (i >= count) return;
  const auto gradient = read_pack<W>(dy + i), output = read_pack<W>(y + i);
  Pack<T, W> result{};
  if (accumulate) result = read_pack<W>(dx + i);
  for (int j = 0; j < W; ++j) put(&result.v[j], load(output.v[j]) > 0 ? load(gradient.v[j]) : 0.0f, accumulate);
  write_pack(dx + i, result);
}

template <class T>
__global__ void dropout_kernel(const T* x, float p, float factor, uint64_t key, const int32_t* row_keys, int64_t width, T* y,
                               bool accumulate, int64_t count) {
  const int64_t i = thread_index();
  if (i >= count) return;
  const int64_t n = i / width;
  const uint64_t row = formula::join_words(row_keys[2 * n], row_keys[2 * n + 1]);
  const bool keep = formula::dropout_keeps(key, row, static_cast<uint64_t>(i % width), p);
  put(y + i, keep ? load(x[i]) * factor : 0.0f, accumulate);
}

// As dispatch(), and f64.
template <class F>
void dispatch_wide(const char* kernel, DType dtype, F&& f) {
  if (dtype == DType::f64) return f(double{});
  dispatch(kernel, dtype, f);
}

}  // namespace

void CudaBackend::fill(const Tensor& x, double value) {
  const auto with = [&]<class T>(T) { start("fill", fill_kernel<T>, grid_over(x.numel()), x, formula::stored<T>(value), x.numel()); };
  if (x.dtype() == DType::i32) return with(int32_t{});
  if (x.dtype() == DType::u8) return with(uint8_t{});
  dispatch_wide("fill", x.dtype(), with);
}

void CudaBackend::copy(const Tensor& x, const Tensor& y) {
  if (x.bytes() > 0) driver_.copy_on_device(y.raw(), x.raw(), x.bytes(), stream_);
}
void CudaBackend::upload(const void* host, const Tensor& y) {
  if (y.bytes() > 0) staging_.upload(y.raw(), host, y.bytes());
}
void CudaBackend::download(const Tensor& x, void* host) {
  if (x.bytes() > 0) driver_.copy_to_host(host, x.raw(), x.bytes(), stream_);
  driver_.synchronize(stream_);
}

void CudaBackend::cast(const Tensor& x, const Tensor& y) {
  dispatch_wide("cast", x.dtype(), [&]<class From>(From) {
    dispatch_wide("cast", y.dtype(), [&]<class To>(To) { start("cast", cast_kernel<From, To>, grid_over(x.numel()), x, y, x.numel()); });
  });
}

void CudaBackend::add(const Tensor& a, const Tensor& b, const Tensor& y) {
  dispatch_wide("add", y.dtype(), [&]<class T>(T) {
    dispatch_pack<T>(y.numel(), {a.raw(), b.raw(), y.raw()},
                     [&](auto w) { start("add", add_kernel<T, w.value>, grid_over(y.numel() / w.value), a, b, y, y.numel()); });
  });
}

void CudaBackend::relu_forward(const Tensor& x, const Tensor& y) {
  dispatch("relu_forward", y.dtype(), [&]<class T>(T) {
    dispatch_pack<T>(y.numel(), {x.raw(), y.raw()}, [&](auto w) {
      start("relu_forward", relu_forward_kernel<T, w.value>, grid_over(y.numel() / w.value), x, y, y.numel());
    });
  });
}

void CudaBackend::relu_backward(const Tensor& dy, const Tensor& y, GradTarget dx) {
  dispatch("relu_backward", y.dtype(), [&]<class T>(T) {
    dispatch_pack<T>(y.numel(), {dy.raw(), y.raw(), dx.tensor.raw()}, [&](auto w) {
      start("relu_backward", relu_backward_kernel<T, w.value>, grid_over(y.numel() / w.value), dy, y, dx.tensor, dx.accumulate, y.numel());
    });
  });
}

void CudaBackend::dropout(const Tensor& x, double p, uint64_t key, const Tensor& row_keys, GradTarget y) {
  const int64_t width = x.numel() / x.shape()[0];
  dispatch("dropout", x.dtype(), [&]<class T>(T) {
    start("dropout", dropout_kernel<T>, grid_over(x.numel()), x, static_cast<float>(p), static_cast<float>(1 / (1 - p)), key, row_keys,
          width, y.tensor, y.accumulate, x.numel());
  });
}

}  // namespace DURA_CUDA_BUILD
}  // namespace dura::cuda
