// Loss scaling and Adam over flat arrays, in two passes: are all gradients finite, and how long are they; then unscale and update, or leave
// everything as it is. The decision stays on the device.
#include "engine/cuda/cuda_backend.h"

namespace dura::cuda {
inline namespace DURA_CUDA_BUILD {
namespace {

// What is scaled is a loss: one that is not finite skips its step, whatever became of it in the gradients.
template <class T>
__global__ void scale_by_loss_scale_kernel(const T* x, double* state, T* y, int64_t count) {
  const int64_t i = thread_index();
  if (i >= count) return;
  if (!is_finite(static_cast<double>(load(x[i])))) state[StepState::overflow] = 1;
  store(y + i, load(x[i]) * static_cast<float>(state[StepState::loss_scale]));
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

// One block. `overflow` is CudaBackend::overflow_flag().
__global__ void check_sum_kernel(const double* partial, int64_t count, int32_t* overflow, double* state) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < count; i += blockDim.x) sum += partial[i];
  sum = block_sum(sum);
  if (threadIdx.x > 0) return;
  formula::enter_square_sum(sum, state);
  if (*overflow != 0) state[StepState::overflow] = 1;
  *overflow = 0;
}

// One thread: what every element of the step needs.
__global__ void adam_constants_kernel(AdamOptions options, const double* state, formula::AdamStep* step) {
  *step = formula::adam_step(options, state);
}

template <class T, int W>
__global__ void adam_kernel(const formula::AdamStep* step, const T* gradient, float* parameter, float* m, float* v, T* compute,
                            const double* state, int64_t count) {
  const int64_t i = thread_index() * W;
  if (i >= count || state[StepState::overflow] != 0) return;
  const auto g = read_pack<W>(gradient + i);
  auto p = read_pack<W>(parameter + i), first = read_pack<W>(m + i), second = read_pack<W>(v + i);
  Pack<T, W> working;
  for (int j = 0; j < W; ++j) {
    p.v[j] = formula::adam<float>(*step, load(g.v[j]), p.v[j], &first.v[j], &second.v[j], [](float x) { return sqrtf(x); });
    store(&working.v[j], p.v[j]);
  }
  write_pack(parameter + i, p), write_pack(m + i, first), write_pack(v + i, second);
  if (compute) write_pack(compute + i, working);
}

__global__ void advance_state_kernel(LossScaleOptions options, bool scaled, double* state) {
  formula::advance_state(options, scaled, state);
}

}  // namespace

void CudaBackend::scale_by_loss_scale(const Tensor& x, const Tensor& state, const Tensor& y) {
  dispatch("scale_by_loss_scale", x.dtype(),
           [&]<class T>(T) { start("scale_by_loss_scale", scale_by_loss_scale_kernel<T>, grid_over(x.numel()), x, state, y, x.numel()); });
}

void CudaBackend::check_gradients(const Tensor& grad, const Tensor& state) {
  const int64_t blocks = ceil_div(grad.numel(), elements_per_block);
  double* partial = scratch<double>(blocks);
  dispatch("check_gradients", grad.dtype(), [&]<class T>(T) {
    start("square_sum", square_sum_kernel<T>, {.blocks = blocks, .threads = block_threads, .barriers = true}, grad, partial, grad.numel());
  });
  start("check_sum", check_sum_kernel, {.blocks = 1, .threads = block_threads, .barriers = true}, partial, blocks, overflow_flag(), state);
}

void CudaBackend::adam_update(const Tensor& master, const Tensor& grad, const Tensor& m, const Tensor& v, const Tensor& compute,
                              const AdamOptions& options, const Tensor& state) {
  const int64_t count = master.numel();
  auto* step = scratch<formula::AdamStep>(1);
  start("adam_constants", adam_constants_kernel, {.blocks = 1, .threads = 1}, options, state, step);
  dispatch("adam_update", grad.dtype(), [&]<class T>(T) {
    dispatch_pack<float>(count, {master.raw(), m.raw(), v.raw(), grad.raw(), address<T>(compute)}, [&](auto w) {
      start("adam", adam_kernel<T, w.value>, grid_over(count / w.value), step, grad, master, m, v, compute, state, count);
    });
  });
}

void CudaBackend::advance_state(const LossScaleOptions& options, bool scaled, const Tensor& state) {
  start("advance_state", advance_state_kernel, {.blocks = 1, .threads = 1}, options, scaled, state);
}

}  // namespace DURA_CUDA_BUILD
}  // namespace dura::cuda
