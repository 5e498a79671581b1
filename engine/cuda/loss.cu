// Softmax, cross-entropy, metric sums: small tables, computed in double. A label that is no class gives a NaN loss: a kernel cannot throw.
#include "engine/cuda/cuda_backend.h"

namespace dura::cuda {
inline namespace DURA_CUDA_BUILD {
namespace {

struct RowSum {
  double largest, sum;  // of the row's logits, and of exp(logit - largest)
};

// By a warp: a lane takes every 32nd logit. The same in all lanes.
template <class T>
__device__ inline RowSum row_sum(const T* row, int64_t K) {
  RowSum r{-INFINITY, 0};
  for (int64_t k = lane_index(); k < K; k += 32) {
    const double v = static_cast<double>(load(row[k]));
    if (v > r.largest) r.largest = v;
  }
  for (int mask = 16; mask > 0; mask /= 2) {
    const double other = __shfl_xor_sync(0xffffffffu, r.largest, mask);
    if (other > r.largest) r.largest = other;
  }
  for (int64_t k = lane_index(); k < K; k += 32) r.sum += exp(static_cast<double>(load(row[k])) - r.largest);
  r.sum = warp_sum(r.sum);
  return r;
}

__device__ inline bool is_class(int32_t label, int64_t K) { return label >= 0 && label < K; }

// A warp for each row.
template <class T>
__global__ void softmax_kernel(const T* logits, int64_t N, int64_t K, float* probabilities) {
  const int64_t n = warp_index();
  if (n >= N) return;
  const RowSum r = row_sum(logits + n * K, K);
  for (int64_t k = lane_index(); k < K; k += 32)
    probabilities[n * K + k] = static_cast<float>(exp(static_cast<double>(load(logits[n * K + k])) - r.largest) / r.sum);
}

// One block. What a sum of losses or of weights is divided by.
__global__ void loss_norm_kernel(const int32_t* labels, int64_t N, int64_t K, const float* weights, bool by_weights, double* norm) {
  double sum = 0;
  for (int64_t n = threadIdx.x; n < N; n += blockDim.x)
    sum += !by_weights || !weights ? 1.0 : is_class(labels[n], K) ? static_cast<double>(weights[labels[n]]) : NAN;
  sum = block_sum(sum);
  if (threadIdx.x == 0) *norm = sum;
}

// A warp for each row. From the logits, not from the probabilities: log of a probability that rounded to 0 would be infinite.
template <class T>
__global__ void row_loss_kernel(const T* logits, const int32_t* labels, int64_t N, int64_t K, const float* weights, bool by_weights,
                                double smoothing, double* losses) {
  const int64_t n = warp_index();
  if (n >= N) return;
  const int32_t label = labels[n];
  const RowSum r = row_sum(logits + n * K, K);
  const double log_sum = log(r.sum) + r.largest;
  double total = 0;
  if (is_class(label, K))
    for (int64_t k = lane_index(); k < K; k += 32) {
      const double share = formula::class_share(k, label, K, weights, by_weights, smoothing);
      if (share != 0) total += share * (log_sum - static_cast<double>(load(logits[n * K + k])));
    }
  total = warp_sum(total);
  if (lane_index() == 0) losses[n] = is_class(label, K) ? total : NAN;
}

// One block.
__global__ void mean_loss_kernel(const double* losses, int64_t N, const double* norm, float* loss) {
  double total = 0;
  for (int64_t n = threadIdx.x; n < N; n += blockDim.x) total += losses[n];
  total = block_sum(total);
  if (threadIdx.x == 0) *loss = static_cast<float>(total / *norm);
}

// A warp for each row. Where statistics of the batch were not finite (`overflow`, CudaBackend::overflow_flag()), no gradient is either:
// other processes have no other word of it.
template <class T>
__global__ void cross_entropy_backward_kernel(const float* probabilities, const int32_t* labels, int64_t N, int64_t K, const float* weights,
                                              bool by_weights, double smoothing, const double* norm, const float* dloss,
                                              const int32_t* overflow, T* dlogits, bool accumulate) {
  const int64_t n = warp_index();
  if (n >= N) return;
  const int32_t label = labels[n];
  const bool valid = is_class(label, K) && *overflow == 0;
  double all = 0;
  if (valid)
    for (int64_t k = lane_index(); k < K; k += 32) all += formula::class_share(k, label, K, weights, by_weights, smoothing);
  all = warp_sum(all);
  for (int64_t k = lane_index(); k < K; k += 32) {
    const int64_t i = n * K + k;
    const double gradient =
        valid ? static_cast<double>(*dloss) / *norm *
                    (all * static_cast<double>(probabilities[i]) - formula::class_share(k, label, K, weights, by_weights, smoothing))
              : NAN;
    put(dlogits + i, static_cast<float>(gradient), accumulate);
  }
}

// One block: a thread for each of the next rows, then the first thread adds in the order of the rows.
__global__ void add_metrics_kernel(const float* p, const int32_t* labels, int64_t N, int64_t K, const float* loss, double* sums) {
  __shared__ double of_row[block_threads];
  __shared__ int64_t place[block_threads];  // in the confusion matrix; -1: no class
  if (threadIdx.x == 0) sums[0] += static_cast<double>(*loss) * static_cast<double>(N);
  for (int64_t first = 0; first < N; first += block_threads) {
    const int64_t n = first + threadIdx.x;
    if (n < N && is_class(labels[n], K)) {
      int64_t best = 0;
      for (int64_t k = 1; k < K; ++k)
        if (p[n * K + k] > p[n * K + best]) best = k;
      const double of_label = static_cast<double>(p[n * K + labels[n]]);
      of_row[threadIdx.x] = log(of_label > 1e-45 ? of_label : 1e-45);
      place[threadIdx.x] = labels[n] * K + best;
    } else {
      place[threadIdx.x] = -1;
    }
    __syncthreads();
    for (int64_t i = 0; threadIdx.x == 0 && i < block_threads; ++i) {
      if (place[i] < 0) continue;
      sums[1] -= of_row[i];
      sums[2 + place[i]] += 1;
    }
    __syncthreads();
  }
}

constexpr Grid one_block{.blocks = 1, .threads = block_threads, .barriers = true};

}  // namespace

void CudaBackend::softmax(const Tensor& logits, const Tensor& probabilities) {
  const int64_t N = logits.shape()[0], K = logits.shape()[1];
  dispatch("softmax", logits.dtype(), [&]<class T>(T) { start("softmax", softmax_kernel<T>, warps_over(N), logits, N, K, probabilities); });
}

void CudaBackend::cross_entropy_forward(const Tensor& logits, const Tensor& labels, const Tensor& class_weights,
                                        const CrossEntropyOptions& options, const Tensor& loss) {
  const int64_t N = logits.shape()[0], K = logits.shape()[1];
  const bool by_weights = options.norm == ClassWeightNorm::sum_of_weights;
  double* divisor = scratch<double>(1 + N);
  double* losses = divisor + 1;
  start("loss_norm", loss_norm_kernel, one_block, labels, N, K, class_weights, by_weights, divisor);
  dispatch("cross_entropy_forward", logits.dtype(), [&]<class T>(T) {
    start("row_loss", row_loss_kernel<T>, warps_over(N), logits, labels, N, K, class_weights, by_weights, options.label_smoothing, losses);
  });
  start("mean_loss", mean_loss_kernel, one_block, losses, N, divisor, loss);
}

void CudaBackend::cross_entropy_backward(const Tensor& probabilities, const Tensor& labels, const Tensor& class_weights,
                                         const CrossEntropyOptions& options, const Tensor& dloss, GradTarget dlogits) {
  const int64_t N = probabilities.shape()[0], K = probabilities.shape()[1];
  const bool by_weights = options.norm == ClassWeightNorm::sum_of_weights;
  double* divisor = scratch<double>(1);
  start("loss_norm", loss_norm_kernel, one_block, labels, N, K, class_weights, by_weights, divisor);
  dispatch("cross_entropy_backward", dlogits.tensor.dtype(), [&]<class T>(T) {
    start("cross_entropy_backward", cross_entropy_backward_kernel<T>, warps_over(N), probabilities, labels, N, K, class_weights, by_weights,
          options.label_smoothing, divisor, dloss, overflow_flag(), dlogits.tensor, dlogits.accumulate);
  });
}

void CudaBackend::add_metrics(const Tensor& probabilities, const Tensor& labels, const Tensor& loss, const Tensor& sums) {
  start("add_metrics", add_metrics_kernel, one_block, probabilities, labels, probabilities.shape()[0], probabilities.shape()[1], loss,
        sums);
}

}  // namespace DURA_CUDA_BUILD
}  // namespace dura::cuda
