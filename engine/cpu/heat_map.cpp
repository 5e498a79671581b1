// Heat maps: Grad-CAM's weighted sum over channels, and maps in colours over the pictures that they explain.
#include "engine/cpu/cpu_backend.h"
#include "engine/cpu/element.h"
#include "engine/core/formula.h"
#include "engine/core/picture_checks.h"
#include "engine/base/parallel.h"

namespace dura {

using cpu::dispatch_floating;
using cpu::Element;

void CpuBackend::weighted_channel_sum(const Tensor& a, const Tensor& alpha, bool relu, const Tensor& y) {
  const int64_t N = a.shape()[0], pixels = a.shape()[1] * a.shape()[2], C = a.shape()[3];
  dispatch_floating("weighted_channel_sum", a.dtype(), [&]<class T>(T) {
    using Compute = typename Element<T>::Compute;
    const T *pa = a.data<T>(), *pw = alpha.data<T>();
    Compute* py = y.data<Compute>();
    parallel_for(N, [&](int64_t n) {
      for (int64_t i = 0; i < pixels; ++i) {
        double sum = 0;
        for (int64_t c = 0; c < C; ++c)
          sum += static_cast<double>(Element<T>::load(pa[(n * pixels + i) * C + c])) * static_cast<double>(Element<T>::load(pw[n * C + c]));
        py[n * pixels + i] = static_cast<Compute>(relu ? formula::relu(sum) : sum);
      }
    });
  });
}

void CpuBackend::color_map(const Tensor& x, const Tensor& map, const MapPlacement& at, double opacity, const Tensor& y) {
  check_color_map(x, map, y);
  const Shape& s = x.shape();
  const int64_t H = s[1], W = s[2], channels = s[3], width = map.shape()[2], cells = map.shape()[1] * width;
  const auto rows = static_cast<int32_t>(map.shape()[1]), columns = static_cast<int32_t>(width);
  const uint8_t* from = x.data<uint8_t>();
  const float* values = map.data<float>();
  uint8_t* to = y.data<uint8_t>();
  parallel_for(s[0] * H, [&](int64_t line) {
    const auto row = formula::linear_tap(at.row_step * static_cast<double>(line % H) + at.first_row, rows);
    for (int64_t j = 0; j < W; ++j) {
      const auto column = formula::linear_tap(at.column_step * static_cast<double>(j) + at.first_column, columns);
      const float v = formula::between_cells(values + line / H * cells, width, row, column);
      const int64_t pixel = line * W + j;
      for (int c = 0; c < 3; ++c)
        to[pixel * 3 + c] = formula::mix_u8(formula::jet(v, c), from[pixel * channels + (channels == 3 ? c : 0)], opacity);
    }
  });
}

}  // namespace dura
