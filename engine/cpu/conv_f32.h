// The convolutions with f32 arithmetic: hand-written kernels for the processor at hand (cpu_features.h), same arguments as Backend's
// functions, for tensors stored in f32, f16 or bf16. Results do not depend on the number of threads, only on the shapes and the kernel set.
// A weight may be used by one convolution at a time, which keeps its packed filter there.
//
// Numbers stored in 16 bits are widened where a block of them is read and rounded once where an output is written: the arithmetic is that
// of f32, and no image is copied.
#pragma once
#include "engine/core/backend.h"

namespace dura::cpu {

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

}  // namespace dura::cpu
