// Loss scaling and Adam over flat arrays, in two passes: are all gradients finite, and how long are they; then unscale and update, or leave
// everything as it is. The decision stays on the device.
#include "engine/cuda/cuda_backend.h"

namespace dura::cuda {
inline namespace DURA_CUDA_BUILD {
namespace {

template <class T>
__global__ void scale_by_loss_scale_kernel(const T* x, const double* state, T* y, int64_t count) {
  const int64_t i = thread_index();
  if (i < count) store(y + i, load(x[i]) * static_cast<float>(state[StepState::loss_scale]));
}

constexpr int64_t elements_per_block = block_threads * 64;

template <class T>
__global__ void square_sum_kernel(const T* g, double* partial, int64_t count) {
  double sum = 0;
  const int64_t begin = blockIdx.x * elements_per_block, end = begin + elements_per_block < count ? begin + elements_per_block : count;
  for (int64_t i = begin + threadIdx.x; i < end; i += blockDim.x) {
    const double v = static_cast<double>(load(g[i]));
    sum += v * v;
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

// One block. Squares of finite f32 values cannot overflow a double.
__global__ void check_sum_kernel(const double* partial, int64_t count, double* state) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < count; i += blockDim.x) sum += partial[i];
  sum = block_sum(sum);
  if (threadIdx.x > 0) return;
  if (!(sum - sum == 0)) state[StepState::overflow] = 1;
  state[StepState::gradient_square_sum] += sum / (state[StepState::loss_scale] * state[StepState::loss_scale]);
}

// One thread: what every element of the step needs.
__global__ void adam_constants_kernel(AdamOptions o, const double* state, formula::AdamStep* step) {
  const double t = state[StepState::step_count] + 1, correction1 = 1 - pow(o.beta1, t), root_correction2 = sqrt(1 - pow(o.beta2, t));
  const double lr = state[StepState::learning_rate];
  const bool keras = o.eps_form == AdamEpsForm::keras;
  *step = {keras ? lr * root_correction2 / correction1 : lr / correction1,
           keras ? 1.0 : 1 / root_correction2,
           o.beta1,
           o.beta2,
           o.eps,
           formula::clip_factor(o.clip_norm, sqrt(state[StepState::gradient_square_sum])) / state[StepState::loss_scale],
           lr * o.weight_decay};
}

template <class T>
__global__ void adam_kernel(const formula::AdamStep* step, const T* gradient, float* parameter, float* m, float* v, T* compute,
                            const double* state, int64_t count) {
  const int64_t i = thread_index();
  if (i >= count || state[StepState::overflow] != 0) return;
  parameter[i] = formula::adam<float>(*step, load(gradient[i]), parameter[i], m + i, v + i, [](float x) { return sqrtf(x); });
  if (compute) store(compute + i, parameter[i]);
}

__global__ void advance_state_kernel(LossScaleOptions o, bool scaled, double* s) {
  if (s[StepState::overflow] != 0) {
    s[StepState::skipped_steps] += 1;
    s[StepState::growth_tracker] = 0;
    if (scaled) s[StepState::loss_scale] *= o.backoff;
  } else {
    s[StepState::step_count] += 1;
    s[StepState::growth_tracker] += 1;
    if (s[StepState::growth_tracker] >= static_cast<double>(o.growth_interval)) {
      s[StepState::growth_tracker] = 0;
      // Growth that f32 arithmetic could not carry is not applied.
      if (scaled && s[StepState::loss_scale] * o.growth <= 3.4028234663852886e38) s[StepState::loss_scale] *= o.growth;
    }
  }
  s[StepState::overflow] = 0;
  s[StepState::gradient_square_sum] = 0;
}

}  // namespace

void CudaBackend::scale_by_loss_scale(const Tensor& x, const Tensor& state, const Tensor& y) {
  dispatch("scale_by_loss_scale", x.dtype(), [&]<class T>(T) {
    start("scale_by_loss_scale", scale_by_loss_scale_kernel<T>, grid_over(x.numel()), address<T>(x), address<double>(state), address<T>(y),
          x.numel());
  });
}

void CudaBackend::check_gradients(const Tensor& grad, const Tensor& state) {
  const int64_t blocks = (grad.numel() + elements_per_block - 1) / elements_per_block;
  double* partial = scratch<double>(blocks);
  dispatch("check_gradients", grad.dtype(), [&]<class T>(T) {
    start("square_sum", square_sum_kernel<T>, {.blocks = blocks, .threads = block_threads, .barriers = true}, address<T>(grad), partial,
          grad.numel());
  });
  start("check_sum", check_sum_kernel, {.blocks = 1, .threads = block_threads, .barriers = true}, partial, blocks, address<double>(state));
}

void CudaBackend::adam_update(const Tensor& master, const Tensor& grad, const Tensor& m, const Tensor& v, const Tensor& compute,
                              const AdamOptions& options, const Tensor& state) {
  auto* step = scratch<formula::AdamStep>(1);
  start("adam_constants", adam_constants_kernel, {.blocks = 1, .threads = 1}, options, address<double>(state), step);
  dispatch("adam_update", grad.dtype(), [&]<class T>(T) {
    start("adam", adam_kernel<T>, grid_over(master.numel()), step, address<T>(grad), address<float>(master), address<float>(m),
          address<float>(v), address<T>(compute), address<double>(state), master.numel());
  });
}

void CudaBackend::advance_state(const LossScaleOptions& options, bool scaled, const Tensor& state) {
  start("advance_state", advance_state_kernel, {.blocks = 1, .threads = 1}, options, scaled, address<double>(state));
}

}  // namespace DURA_CUDA_BUILD
}  // namespace dura::cuda
