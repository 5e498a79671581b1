// Class activation maps: Grad-CAM's weighted sum over channels; and guidance, the share of a margin's map that lies in a lesion, with its
// gradients. Every sum is in double. A label that is no class gives a NaN loss: a kernel cannot throw.
#include "engine/cuda/cuda_backend.h"

namespace dura::cuda {
inline namespace DURA_CUDA_BUILD {
namespace {

// A warp for each pixel.
template <class T>
__global__ void weighted_channel_sum_kernel(const T* a, const T* alpha, int64_t pixels, int64_t C, bool relu, float* y, int64_t count) {
  const int64_t i = warp_index();
  if (i >= count) return;
  double sum = 0;
  for (int64_t c = lane_index(); c < C; c += 32)
    sum += static_cast<double>(load(a[i * C + c])) * static_cast<double>(load(alpha[i / pixels * C + c]));
  sum = warp_sum(sum);
  if (lane_index() == 0) y[i] = static_cast<float>(relu ? formula::relu(sum) : sum);
}

struct CamSizes {
  int64_t N, cells, C, K;
};

// u_c = weight[label,c] - weight[other,c]
template <class T>
__device__ inline double margin(const T* weight, int64_t label, int64_t other, int64_t C, int64_t c) {
  return other < 0 ? NAN : static_cast<double>(load(weight[label * C + c])) - static_cast<double>(load(weight[other * C + c]));
}

// A thread for each row. -1 where the label is no class.
template <class T>
__global__ void strongest_other_kernel(const T* logits, const int32_t* labels, CamSizes size, int32_t* other) {
  const int64_t n = thread_index();
  if (n < size.N) other[n] = labels[n] >= 0 && labels[n] < size.K ? formula::strongest_other(logits + n * size.K, labels[n], size.K) : -1;
}

// A warp for each cell.
template <class T>
__global__ void margin_map_kernel(const T* features, const T* weight, const int32_t* labels, const int32_t* other, CamSizes size,
                                  float* maps) {
  const int64_t i = warp_index();
  if (i >= size.N * size.cells) return;
  const int64_t n = i / size.cells;
  double sum = 0;
  for (int64_t c = lane_index(); c < size.C; c += 32)
    sum += margin(weight, labels[n], other[n], size.C, c) * static_cast<double>(load(features[i * size.C + c]));
  sum = warp_sum(sum);
  if (lane_index() == 0) maps[i] = static_cast<float>(formula::relu(sum));
}

// A warp for each row: s and t where it counts.
__global__ void map_sums_kernel(const float* maps, const uint8_t* lesion, CamSizes size, double* sums) {
  const int64_t n = warp_index();
  if (n >= size.N) return;
  double s = 0, t = 0, inside = 0;
  for (int64_t i = n * size.cells + lane_index(); i < (n + 1) * size.cells; i += 32) {
    s += static_cast<double>(maps[i]);
    if (lesion[i]) t += static_cast<double>(maps[i]), inside += 1;
  }
  s = warp_sum(s);
  t = warp_sum(t);
  inside = warp_sum(inside);
  if (lane_index() > 0) return;
  const bool counts = inside > 0 && !(s < formula::least_map_sum);
  sums[2 * n] = counts ? s : 0;
  sums[2 * n + 1] = counts ? t : 0;
}

// One thread: sums in the order of the rows.
__global__ void mean_energy_kernel(const double* sums, int64_t N, double strength, float* loss) {
  if (thread_index() > 0) return;
  double total = 0, count = 0;
  for (int64_t n = 0; n < N; ++n)
    if (sums[2 * n] != 0) total += formula::energy_outside(sums[2 * n], sums[2 * n + 1]), count += 1;
  *loss = static_cast<float>(count > 0 ? strength * total / count : 0);
}

// One block. What a row's slope is multiplied by.
__global__ void energy_factor_kernel(const double* sums, int64_t N, double strength, const float* dloss, double* factor) {
  double count = 0;
  for (int64_t n = threadIdx.x; n < N; n += blockDim.x) count += sums[2 * n] != 0 ? 1 : 0;
  count = block_sum(count);
  if (threadIdx.x == 0) *factor = static_cast<double>(*dloss) * strength / count;
}

// A thread for each cell.
__global__ void map_gradient_kernel(const float* maps, const uint8_t* lesion, const double* sums, const double* factor, int64_t cells,
                                    double* g, int64_t count) {
  const int64_t i = thread_index();
  if (i >= count) return;
  const double* row = sums + 2 * (i / cells);
  g[i] = row[0] == 0 ? 0 : *factor * formula::energy_slope(static_cast<double>(maps[i]), lesion[i] ? 1 : 0, row[0], row[1]);
}

// A thread for each element of the features.
template <class T>
__global__ void cam_features_kernel(const double* g, const T* weight, const int32_t* labels, const int32_t* other, CamSizes size,
                                    T* dfeatures, bool accumulate) {
  const int64_t i = thread_index();
  if (i >= size.N * size.cells * size.C) return;
  const int64_t cell = i / size.C, n = cell / size.cells;
  const double gradient = g[cell] == 0 ? 0 : g[cell] * margin(weight, labels[n], other[n], size.C, i % size.C);
  put(dfeatures + i, static_cast<float>(gradient), accumulate);
}

// A thread for each element of the weight; neighbours read neighbouring channels.
template <class T>
__global__ void cam_weight_kernel(const double* g, const double* sums, const T* features, const int32_t* labels, const int32_t* other,
                                  CamSizes size, T* dweight, bool accumulate) {
  const int64_t i = thread_index();
  if (i >= size.K * size.C) return;
  const int64_t k = i / size.C, c = i % size.C;
  double total = 0;
  for (int64_t n = 0; n < size.N; ++n) {
    if (sums[2 * n] == 0 || (labels[n] != k && other[n] != k)) continue;
    double of_row = 0;
    for (int64_t cell = n * size.cells; cell < (n + 1) * size.cells; ++cell)
      of_row += g[cell] * static_cast<double>(load(features[cell * size.C + c]));
    total += labels[n] == k ? of_row : -of_row;
  }
  put(dweight + i, static_cast<float>(total), accumulate);
}

// One thread: sums in the order of the rows.
__global__ void add_cam_energy_kernel(const double* sums, int64_t N, double* total) {
  if (thread_index() > 0) return;
  for (int64_t n = 0; n < N; ++n) {
    if (sums[2 * n] == 0) continue;
    total[0] += formula::energy_outside(sums[2 * n], sums[2 * n + 1]);
    total[1] += 1;
  }
}

constexpr Grid one_thread{.blocks = 1, .threads = 1};

CamSizes sizes_of(const CamEnergyInputs& in) {
  const Shape& s = in.features.shape();
  return {s[0], s[1] * s[2], s[3], in.weight.shape()[0]};
}

}  // namespace

void CudaBackend::weighted_channel_sum(const Tensor& a, const Tensor& alpha, bool relu, const Tensor& y) {
  dispatch("weighted_channel_sum", a.dtype(), [&]<class T>(T) {
    start("weighted_channel_sum", weighted_channel_sum_kernel<T>, warps_over(y.numel()), a, alpha, a.shape()[1] * a.shape()[2],
          a.shape()[3], relu, y, y.numel());
  });
}

void CudaBackend::cam_energy_forward(const CamEnergyInputs& in, const Tensor& logits, double strength, const CamEnergyRows& rows,
                                     const Tensor& loss) {
  const CamSizes size = sizes_of(in);
  dispatch("cam_energy_forward", in.features.dtype(), [&]<class T>(T) {
    start("strongest_other", strongest_other_kernel<T>, grid_over(size.N), logits, in.labels, size, rows.other);
    start("margin_map", margin_map_kernel<T>, warps_over(size.N * size.cells), in.features, in.weight, in.labels, rows.other, size,
          rows.maps);
  });
  start("map_sums", map_sums_kernel, warps_over(size.N), rows.maps, in.lesion, size, rows.sums);
  start("mean_energy", mean_energy_kernel, one_thread, rows.sums, size.N, strength, loss);
}

void CudaBackend::cam_energy_backward(const CamEnergyInputs& in, const CamEnergyRows& rows, double strength, const Tensor& dloss,
                                      GradTarget dfeatures, GradTarget dweight) {
  const CamSizes size = sizes_of(in);
  const int64_t cells = size.N * size.cells;
  double* factor = scratch<double>(1 + cells);
  double* g = factor + 1;
  start("energy_factor", energy_factor_kernel, {.blocks = 1, .threads = block_threads, .barriers = true}, rows.sums, size.N, strength,
        dloss, factor);
  start("map_gradient", map_gradient_kernel, grid_over(cells), rows.maps, in.lesion, rows.sums, factor, size.cells, g, cells);
  dispatch("cam_energy_backward", in.features.dtype(), [&]<class T>(T) {
    if (dfeatures.wanted())
      start("cam_features", cam_features_kernel<T>, grid_over(cells * size.C), g, in.weight, in.labels, rows.other, size, dfeatures.tensor,
            dfeatures.accumulate);
    if (dweight.wanted())
      start("cam_weight", cam_weight_kernel<T>, grid_over(size.K * size.C), g, rows.sums, in.features, in.labels, rows.other, size,
            dweight.tensor, dweight.accumulate);
  });
}

void CudaBackend::add_cam_energy(const Tensor& sums, const Tensor& total) {
  start("add_cam_energy", add_cam_energy_kernel, one_thread, sums, sums.shape()[0], total);
}

}  // namespace DURA_CUDA_BUILD
}  // namespace dura::cuda
