// Heat maps: Grad-CAM's weighted sum over channels, and maps in colours over the pictures that they explain.
#include "engine/core/picture_checks.h"
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

struct MapSize {
  int32_t rows, columns;   // of the map
  int64_t H, W, channels;  // of the pictures
};

// A thread for each pixel.
__global__ void color_map_kernel(const uint8_t* x, const float* map, MapSize s, MapPlacement at, double opacity, uint8_t* y,
                                 int64_t count) {
  const int64_t i = thread_index();
  if (i >= count) return;
  const int64_t n = i / (s.H * s.W);
  const auto row = formula::linear_tap(at.row_step * static_cast<double>(i / s.W % s.H) + at.first_row, s.rows);
  const auto column = formula::linear_tap(at.column_step * static_cast<double>(i % s.W) + at.first_column, s.columns);
  const float v = formula::between_cells(map + n * s.rows * s.columns, s.columns, row, column);
  for (int c = 0; c < 3; ++c) y[i * 3 + c] = formula::mix_u8(formula::jet(v, c), x[i * s.channels + (s.channels == 3 ? c : 0)], opacity);
}

}  // namespace

void CudaBackend::weighted_channel_sum(const Tensor& a, const Tensor& alpha, bool relu, const Tensor& y) {
  dispatch("weighted_channel_sum", a.dtype(), [&]<class T>(T) {
    start("weighted_channel_sum", weighted_channel_sum_kernel<T>, warps_over(y.numel()), a, alpha, a.shape()[1] * a.shape()[2],
          a.shape()[3], relu, y, y.numel());
  });
}

void CudaBackend::color_map(const Tensor& x, const Tensor& map, const MapPlacement& placement, double opacity, const Tensor& y) {
  check_color_map(x, map, y);
  const MapSize size{static_cast<int32_t>(map.shape()[1]), static_cast<int32_t>(map.shape()[2]), x.shape()[1], x.shape()[2], x.shape()[3]};
  const int64_t pixels = y.numel() / 3;
  start("color_map", color_map_kernel, grid_over(pixels), x, map, size, placement, opacity, y, pixels);
}

}  // namespace DURA_CUDA_BUILD
}  // namespace dura::cuda
