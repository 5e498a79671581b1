// The convolutions: same arguments as Backend's functions. Results do not depend on the number of threads, only on the shapes and the
// kernel set. A weight may be used by one convolution at a time, which keeps its packed filter there.
#pragma once
#include "engine/core/backend.h"

namespace dura::cpu {

// ---- f32 arithmetic: hand-written kernels for the processor at hand (cpu_features.h), for tensors stored in f32, f16 or bf16 ----
//
// Numbers stored in 16 bits are widened where a block of them is read and rounded once where an output is written: the arithmetic is that
// of f32, and no image is copied.

// Is this pass done by Winograd's algorithm?
bool uses_winograd(const ConvGeometry& g, ConvPass pass);

// Bytes. They hold what each worker needs, the packed filter for the calls in which it is not kept, and a 16-bit filter gradient's sums.
size_t conv_workspace_f32(const ConvGeometry& g, DType dtype, ConvPass pass);

// A packed filter is kept in w.prepared from the second call on that finds the same values: a filter that changes at every step is packed
// into the workspace and costs no memory, a frozen one is packed once for each of the two passes.
void conv_forward_f32(const ConvGeometry& g, const Tensor& x, const Weight& w, const Epilogue& e, const Tensor& workspace, const Tensor& y);
void conv_backward_data_f32(const ConvGeometry& g, const Tensor& dy, const Weight& w, const FoldedScale& scale, const Tensor& workspace,
                            GradTarget dx);
void conv_backward_filter_f32(const ConvGeometry& g, const Tensor& x, const Tensor& dy, const Tensor& workspace, GradTarget dw);

// Sums in f32 on their way into a gradient.
void write_sums(const float* sums, GradTarget to);

// ---- bf16 tensors computed in bf16, for kernel sets with a bf16 product (KernelSet::bf16) ----
//
// Products of pairs with f32 sums, rounded once where the output is written. No f32 copy of an image is made. Subnormal bf16 numbers count
// as zero in the products, which is how processors define the instruction.

// Is this pass computed so? Winograd's algorithm in f32 is faster than products of bf16 where it pays.
bool computes_in_bf16(const ConvGeometry& g, DType dtype, ConvPass pass);

size_t conv_workspace_bf16(const ConvGeometry& g, ConvPass pass);
void conv_forward_bf16(const ConvGeometry& g, const Tensor& x, const Weight& w, const Epilogue& e, const Tensor& workspace,
                       const Tensor& y);
void conv_backward_data_bf16(const ConvGeometry& g, const Tensor& dy, const Weight& w, const FoldedScale& scale, const Tensor& workspace,
                             GradTarget dx);
void conv_backward_filter_bf16(const ConvGeometry& g, const Tensor& x, const Tensor& dy, const Tensor& workspace, GradTarget dw);

// ---- f64 through Eigen, for gradient checks and golden values: explicit tiles of im2col ----

size_t conv_workspace_f64(const ConvGeometry& g, ConvPass pass);  // bytes
void conv_forward_f64(const ConvGeometry& g, const Tensor& x, const Tensor& w, const Epilogue& e, const Tensor& workspace, const Tensor& y);
void conv_backward_data_f64(const ConvGeometry& g, const Tensor& dy, const Tensor& w, const Tensor& scale, const Tensor& workspace,
                            GradTarget dx);
void conv_backward_filter_f64(const ConvGeometry& g, const Tensor& x, const Tensor& dy, const Tensor& workspace, GradTarget dw);

}  // namespace dura::cpu
