// How the f32 convolutions take tensors stored in 16 bits: a few images at a time, through copies in f32. Tensors in f32 are taken as they
// are, all images at once.
#pragma once
#include <algorithm>
#include <type_traits>

#include "engine/core/backend.h"
#include "engine/cpu/conv_f32_gather.h"
#include "engine/cpu/element.h"
#include "engine/base/parallel.h"

namespace dura::cpu {

inline ConvGeometry with_images(ConvGeometry g, int64_t images) {
  g.N = images;
  return g;
}

// The images that go through copies at a time, by the shape alone: what 8 MiB hold, in parts as equal as can be.
struct Parts {
  int64_t images = 0, whole = 0;  // of a part, of all; the last part may be smaller
  Parts(const ConvGeometry& g, DType dtype) : images(g.N), whole(g.N) {
    constexpr int64_t copied_floats = int64_t{2} << 20;
    const int64_t image = std::max<int64_t>(1, g.H * g.W * g.C + g.P * g.Q * g.K);
    if (dtype != DType::f32) images = std::clamp<int64_t>(copied_floats / image, 1, std::max<int64_t>(1, g.N));
    const int64_t count = images == 0 ? 0 : ceil_div(whole, images);
    if (count > 0) images = ceil_div(whole, count);
  }
  int64_t last() const { return images == 0 ? 0 : whole - (whole - 1) / images * images; }
  // f(first image, number of images)
  template <class F>
  void for_each(F&& f) const {
    for (int64_t n = 0; n < whole; n += images) f(n, std::min(images, whole - n));
  }
};

// Where in the workspace the copies begin, in floats: of the filter, of a part's images x and y. Nothing for tensors in f32.
struct CopyLayout {
  int64_t filter, x, y, end;
  CopyLayout(const ConvGeometry& part, DType dtype, int64_t begin) {
    const bool copies = dtype != DType::f32;
    filter = begin;
    x = filter + (copies ? whole_lines(part.K * part.R * part.S * part.C) : 0);
    y = x + (copies ? whole_lines(part.N * part.H * part.W * part.C) : 0);
    end = y + (copies ? whole_lines(part.N * part.P * part.Q * part.K) : 0);
  }
};

// A part of a tensor as floats: the elements themselves where they are, else a copy in `space`.
template <class T>
const float* read_part(const T* from, int64_t count, float* space) {
  if constexpr (std::is_same_v<T, float>) {
    return from;
  } else {
    parallel_ranges(count, grain, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) space[i] = Element<T>::load(from[i]);
    });
    return space;
  }
}
// Where to compute a part of an output, and the way from there to its place.
template <class T>
float* output_part(T* to, float* space) {
  if constexpr (std::is_same_v<T, float>) {
    return to;
  } else {
    return space;
  }
}
template <class T>
void write_part(const float* computed, int64_t count, T* to) {
  if constexpr (!std::is_same_v<T, float>)
    parallel_ranges(count, grain, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) to[i] = Element<T>::store(computed[i]);
    });
}

// Calls f with a value of the storage type, one that is computed with in f32.
template <class F>
void dispatch_stored(const char* kernel, DType dtype, F&& f) {
  dispatch_floating(kernel, dtype, [&]<class T>(T value) {
    if constexpr (std::is_same_v<T, double>) {
      fail(kernel, ": f64 is computed elsewhere");
    } else {
      f(value);
    }
  });
}

}  // namespace dura::cpu
