// Convolution for any storage type through Eigen: explicit tiles of im2col. The path for f64 (gradient checks), f16 and bf16, and other
// processors.
#pragma once
#include "engine/backend.h"

namespace dura::cpu {

size_t conv_workspace_generic(const ConvGeometry& g, DType dtype, ConvPass pass);
void conv_forward_generic(const ConvGeometry& g, const Tensor& x, const Tensor& w, const ConvEpilogue& e, const Tensor& workspace,
                          const Tensor& y);
void conv_backward_data_generic(const ConvGeometry& g, const Tensor& dy, const Tensor& w, const Tensor& scale, const Tensor& workspace,
                                GradTarget dx);
void conv_backward_filter_generic(const ConvGeometry& g, const Tensor& x, const Tensor& dy, const Tensor& workspace, GradTarget dw);

}  // namespace dura::cpu
