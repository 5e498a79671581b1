// Bytes, and element by element.
#include <cstring>
#include <type_traits>

#include "engine/cpu/cpu_backend.h"
#include "engine/cpu/element.h"
#include "engine/base/parallel.h"

namespace dura {

using cpu::dispatch_floating;
using cpu::Element;
using cpu::grain;

namespace {

// A double as the float from which a second rounding, to 16 bits, gives what one rounding of the double would: cut off, with the last bit
// set where anything was lost (rounding to odd; Boldo and Melquiond 2008).
float round_to_odd(double v) {
  const float nearest = static_cast<float>(v);
  const double back = static_cast<double>(nearest);
  if (back == v || v != v) return nearest;
  const bool away_from_zero = v > 0 ? back > v : back < v;
  return formula::bits_float((formula::float_bits(nearest) - (away_from_zero ? 1u : 0u)) | 1u);
}

template <class To, class From>
To converted(From v) {
  if constexpr (std::is_same_v<From, double> && sizeof(To) == 2)
    return Element<To>::store(round_to_odd(v));
  else
    return Element<To>::store(static_cast<typename Element<To>::Compute>(Element<From>::load(v)));
}

}  // namespace

void CpuBackend::fill(const Tensor& x, double value) {
  const int64_t count = x.numel();
  if (x.dtype() == DType::i32) {
    std::fill_n(x.data<int32_t>(), count, static_cast<int32_t>(value));
  } else if (x.dtype() == DType::u8) {
    std::fill_n(x.data<uint8_t>(), count, static_cast<uint8_t>(value));
  } else {
    dispatch_floating("fill", x.dtype(), [&]<class T>(T) {
      using Compute = typename Element<T>::Compute;
      T* p = x.data<T>();
      const T v = Element<T>::store(static_cast<Compute>(value));
      parallel_ranges(count, grain, [=](int64_t begin, int64_t end) { std::fill(p + begin, p + end, v); });
    });
  }
}

void CpuBackend::copy(const Tensor& x, const Tensor& y) {
  const char* from = static_cast<const char*>(x.raw());
  char* to = static_cast<char*>(y.raw());
  parallel_ranges(static_cast<int64_t>(x.bytes()), grain * 4,
                  [=](int64_t begin, int64_t end) { std::memcpy(to + begin, from + begin, static_cast<size_t>(end - begin)); });
}

void CpuBackend::upload(const void* host, const Tensor& y) { std::memcpy(y.raw(), host, y.bytes()); }
void CpuBackend::download(const Tensor& x, void* host) { std::memcpy(host, x.raw(), x.bytes()); }

void CpuBackend::cast(const Tensor& x, const Tensor& y) {
  dispatch_floating("cast", x.dtype(), [&]<class From>(From) {
    dispatch_floating("cast", y.dtype(), [&]<class To>(To) {
      const From* a = x.data<From>();
      To* b = y.data<To>();
      parallel_ranges(x.numel(), grain, [=](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) b[i] = converted<To>(a[i]);
      });
    });
  });
}

void CpuBackend::add(const Tensor& a, const Tensor& b, const Tensor& y) {
  dispatch_floating("add", y.dtype(), [&]<class T>(T) {
    const T *pa = a.data<T>(), *pb = b.data<T>();
    T* py = y.data<T>();
    parallel_ranges(y.numel(), grain, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) py[i] = Element<T>::store(Element<T>::load(pa[i]) + Element<T>::load(pb[i]));
    });
  });
}

void CpuBackend::relu_forward(const Tensor& x, const Tensor& y) {
  dispatch_floating("relu_forward", y.dtype(), [&]<class T>(T) {
    const T* px = x.data<T>();
    T* py = y.data<T>();
    parallel_ranges(y.numel(), grain, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) py[i] = Element<T>::store(formula::relu(Element<T>::load(px[i])));
    });
  });
}

void CpuBackend::relu_backward(const Tensor& dy, const Tensor& y, GradTarget dx) {
  dispatch_floating("relu_backward", y.dtype(), [&]<class T>(T) {
    const T *pd = dy.data<T>(), *py = y.data<T>();
    T* px = dx.tensor.data<T>();
    cpu::with_flags(
        [&](auto accumulate) {
          parallel_ranges(y.numel(), grain, [=](int64_t begin, int64_t end) {
            T* __restrict to = px;
            for (int64_t i = begin; i < end; ++i) {
              const typename Element<T>::Compute g = Element<T>::load(pd[i]);
              cpu::put(to, i, Element<T>::load(py[i]) > 0 ? g : 0, accumulate);
            }
          });
        },
        dx.accumulate);
  });
}

void CpuBackend::dropout(const Tensor& x, double p, uint64_t key, const Tensor& row_keys, GradTarget y) {
  const int64_t rows = x.shape()[0], width = x.numel() / rows;
  const int32_t* keys = row_keys.data<int32_t>();
  dispatch_floating("dropout", x.dtype(), [&]<class T>(T) {
    using Compute = typename Element<T>::Compute;
    const T* px = x.data<T>();
    T* py = y.tensor.data<T>();
    const auto factor = static_cast<Compute>(1 / (1 - p));
    parallel_for(rows, [&](int64_t n) {
      const uint64_t row = formula::join_words(keys[2 * n], keys[2 * n + 1]);
      for (int64_t j = 0; j < width; ++j) {
        const bool keep = formula::dropout_keeps(key, row, static_cast<uint64_t>(j), static_cast<float>(p));
        cpu::put(py, n * width + j, keep ? Element<T>::load(px[n * width + j]) * factor : 0, y.accumulate);
      }
    });
  });
}

}  // namespace dura
