// BatchNorm with batch statistics, residual and ReLU as one graph of cuDNN each way, where cuDNN has engines for both; elsewhere the
// kernels of batch_norm.cu do it. The graphs leave a mask of bits that only they can read, so both directions are graphs or none is.
// Running statistics, and the scale and shift by which y is made again, are one kernel over the channels.
#include "engine/cuda/cuda_backend.h"

namespace dura::cuda {
inline namespace DURA_CUDA_BUILD {
namespace {

__global__ void finish_kernel(const float* gamma, const float* beta, const float* mean, const float* invstd, double eps, double momentum,
                              double correction, float* variance, float* scale, float* shift, float* running_mean, float* running_variance,
                              int32_t* overflow, int64_t K) {
  const int64_t k = thread_index();
  if (k >= K) return;
  const double m = static_cast<double>(mean[k]), inverse = static_cast<double>(invstd[k]);
  if (!is_finite(m) || !is_finite(inverse)) *overflow = 1;
  const double v = 1 / (inverse * inverse) - eps, batch = v > 0 ? v : 0;  // rounding may end below 0
  variance[k] = static_cast<float>(batch);
  formula::fold(gamma[k], beta[k], m, inverse, scale + k, shift + k);
  running_mean[k] = formula::moving(running_mean[k], m, momentum);
  running_variance[k] = formula::moving(running_variance[k], batch, momentum, correction);
}

}  // namespace

// A bit for each element, where each pixel begins a new byte: cuDNN does not say whether it does where 8 does not divide the channels.
size_t CudaBackend::largest_batch_norm_mask(const Shape& x, const BatchNormOptions& options) {
  return options.relu ? static_cast<size_t>(x[0] * x[1] * x[2] * ((x[3] + 7) / 8)) : 0;
}

BatchNormSpace CudaBackend::batch_norm_space(const Shape& x, DType dtype, const BatchNormOptions& options) {
  if (!fuses(x, dtype, options)) return {};
  return {.mask = largest_batch_norm_mask(x, options),
          .forward_workspace = workspace_bytes(batch_norm_training_graph(x, dtype, options)),
          .backward_workspace = workspace_bytes(batch_norm_backward_graph(x, dtype, options))};
}

void CudaBackend::batch_norm_training_forward(const Tensor& x, const BatchNormOptions& options, const BatchNormParameters& p,
                                              const Tensor& residual, const Tensor& workspace, const BatchNormStatistics& batch,
                                              const Tensor& y) {
  if (!fuses(x.shape(), x.dtype(), options)) return Backend::batch_norm_training_forward(x, options, p, residual, workspace, batch, y);
  std::vector<void*> tensors = {x.raw(), p.gamma.raw(), p.beta.raw()};
  if (options.residual) tensors.push_back(residual.raw());
  tensors.push_back(y.raw());
  if (options.relu) tensors.push_back(batch.mask.raw());
  tensors.insert(tensors.end(), {batch.mean.raw(), batch.invstd.raw()});
  driver_.run(batch_norm_training_graph(x.shape(), x.dtype(), options), tensors, workspace.defined() ? workspace.raw() : nullptr, stream_);

  const int64_t K = batch.mean.numel(), M = x.numel() / K;
  const double correction = p.unbiased_running ? formula::unbiased_correction(M) : 1.0;
  start("batch_norm_finish", finish_kernel, grid_over(K), address<float>(p.gamma), address<float>(p.beta), address<float>(batch.mean),
        address<float>(batch.invstd), options.eps, p.momentum, correction, address<float>(batch.variance), address<float>(batch.scale),
        address<float>(batch.shift), address<float>(p.running_mean), address<float>(p.running_variance), overflow_flag(), K);
}

void CudaBackend::batch_norm_training_backward(const BatchNormBackward& in, const BatchNormOptions& options, const Tensor& gamma,
                                               const Tensor& workspace, const BatchNormGradients& out) {
  // Without a ReLU there is no mask that only the graph could read, and the sums alone are cheaper where nobody wants dx.
  if (!fuses(in.x.shape(), in.x.dtype(), options) || !out.dx.wanted())
    return Backend::batch_norm_training_backward(in, options, gamma, workspace, out);
  std::vector<void*> tensors = {in.dy.raw()};
  if (options.relu) tensors.push_back(in.statistics.mask.raw());
  tensors.insert(tensors.end(), {in.x.raw(), gamma.raw(), in.statistics.mean.raw(), in.statistics.invstd.raw()});
  if (options.writes_g) tensors.push_back(out.g.raw());
  tensors.insert(tensors.end(), {out.dx.tensor.raw(), out.sum_gx.raw(), out.sum_g.raw()});
  driver_.run(batch_norm_backward_graph(in.x.shape(), in.x.dtype(), options), tensors, workspace.defined() ? workspace.raw() : nullptr,
              stream_);
}

}  // namespace DURA_CUDA_BUILD
}  // namespace dura::cuda
