// Convolutions of bf16 tensors computed in bf16: products of pairs with f32 sums, rounded once where the output is written. No f32 copy of
// an image is made. For kernel sets with a bf16 product (KernelSet::bf16); elsewhere conv_f32.h computes them. Subnormal bf16
// numbers count as zero in the products, which is how processors define the instruction.
#pragma once
#include "engine/core/backend.h"

namespace dura::cpu {

// Is this pass computed so? Winograd's algorithm in f32 is faster than products of bf16 where it pays.
bool computes_in_bf16(const ConvGeometry& g, DType dtype, ConvPass pass);

// As in conv_f32.h.
size_t conv_workspace_bf16(const ConvGeometry& g, ConvPass pass);
void conv_forward_bf16(const ConvGeometry& g, const Tensor& x, const Weight& w, const Epilogue& e, const Tensor& workspace,
                       const Tensor& y);
void conv_backward_data_bf16(const ConvGeometry& g, const Tensor& dy, const Weight& w, const FoldedScale& scale, const Tensor& workspace,
                             GradTarget dx);
void conv_backward_filter_bf16(const ConvGeometry& g, const Tensor& x, const Tensor& dy, const Tensor& workspace, GradTarget dw);

}  // namespace dura::cpu
