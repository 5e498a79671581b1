// What the kernels of picture_kernels.inc expect, the same on every device. No op stands before them, so each kernel asks first; throws
// Error with what was found.
#pragma once
#include "engine/core/tensor.h"

namespace dura {

inline void check_normalize(const Tensor& x, const Tensor& y) {
  DURA_CHECK(x.shape().rank() == 4 && x.shape()[3] == 3 && x.shape() == y.shape(), "normalize: input ", describe(x), ", output ",
             describe(y), ". Both are (N,H,W,3).");
}

inline void check_warp(const Tensor& x, const Tensor& rows, const Tensor& matrices, const Tensor& y) {
  const Shape &in = x.shape(), &out = y.shape();
  DURA_CHECK(in.rank() == 4 && out.rank() == 4 && (rows.defined() || in[0] == out[0]) && in[3] == out[3], "warp: input ", describe(x),
             ", output ", describe(y));
  DURA_CHECK(!rows.defined() || rows.shape() == Shape({out[0]}), "warp: rows are ", describe(rows), ", expected i32 (", out[0], ")");
  DURA_CHECK(in[3] == 1 || in[3] == 3, "warp: images have 1 or 3 channels, the input is ", describe(x));
  DURA_CHECK(matrices.shape() == Shape({out[0], 6}), "warp: matrices are ", describe(matrices), ", expected f32 (", out[0], ",6)");
}

inline void check_enhance(const Tensor& x, const Tensor& parameters, const Tensor& y) {
  DURA_CHECK(x.shape().rank() == 4 && x.shape() == y.shape() && !x.same_bytes(y), "enhance: input ", describe(x), ", output ", describe(y),
             ". Both are (N,H,W,C), in different memory.");
  const int64_t images = x.shape()[0];
  DURA_CHECK(parameters.shape() == Shape({images, 3}), "enhance: parameters are ", describe(parameters), ", expected f32 (", images, ",3)");
}

}  // namespace dura
