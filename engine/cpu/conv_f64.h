// Convolution in f64 through Eigen: explicit tiles of im2col. For gradient checks and golden values; f32 and 16-bit storage have
// conv_f32.h.
#pragma once
#include "engine/core/backend.h"

namespace dura::cpu {

size_t conv_workspace_f64(const ConvGeometry& g, ConvPass pass);  // bytes
void conv_forward_f64(const ConvGeometry& g, const Tensor& x, const Tensor& w, const Epilogue& e, const Tensor& workspace, const Tensor& y);
void conv_backward_data_f64(const ConvGeometry& g, const Tensor& dy, const Tensor& w, const Tensor& scale, const Tensor& workspace,
                            GradTarget dx);
void conv_backward_filter_f64(const ConvGeometry& g, const Tensor& x, const Tensor& dy, const Tensor& workspace, GradTarget dw);

}  // namespace dura::cpu
