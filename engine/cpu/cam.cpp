// Class activation maps: Grad-CAM's weighted sum over channels; and guidance, the share of a margin's map that lies in a lesion, with its
// gradients. Every sum is in double.
#include "engine/base/parallel.h"
#include "engine/cpu/cpu_backend.h"
#include "engine/cpu/element.h"
#include "engine/core/formula.h"

namespace dura {

using cpu::dispatch_floating;
using cpu::Element;

namespace {

struct Sizes {
  int64_t N, cells, C, K;
  explicit Sizes(const CamEnergyInputs& in)
      : N(in.features.shape()[0]),
        cells(in.features.shape()[1] * in.features.shape()[2]),
        C(in.features.shape()[3]),
        K(in.weight.shape()[0]) {}
};

// The rows of the dense weight whose difference is that of a row's margin.
template <class T>
struct Margin {
  const T *label, *other;
  Margin(const CamEnergyInputs& in, const CamEnergyRows& rows, int64_t n, int64_t C)
      : label(in.weight.data<T>() + in.labels.data<int32_t>()[n] * C), other(in.weight.data<T>() + rows.other.data<int32_t>()[n] * C) {}
  double operator[](int64_t c) const {
    return static_cast<double>(Element<T>::load(label[c])) - static_cast<double>(Element<T>::load(other[c]));
  }
};

int64_t rows_that_count(const Tensor& sums) {
  int64_t count = 0;
  for (int64_t n = 0; n < sums.shape()[0]; ++n) count += sums.data<double>()[2 * n] != 0;
  return count;
}

// s and t of a row, where it counts.
template <class C>
void sum_row(const C* map, const uint8_t* lesion, int64_t cells, double* sums) {
  double s = 0, t = 0;
  bool any = false;
  for (int64_t i = 0; i < cells; ++i) {
    s += static_cast<double>(map[i]);
    if (lesion[i]) t += static_cast<double>(map[i]), any = true;
  }
  const bool counts = any && !(s < formula::least_map_sum);
  sums[0] = counts ? s : 0;
  sums[1] = counts ? t : 0;
}

}  // namespace

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

void CpuBackend::cam_energy_forward(const CamEnergyInputs& in, const Tensor& logits, double strength, const CamEnergyRows& rows,
                                    const Tensor& loss) {
  const Sizes size(in);
  const int32_t* labels = in.labels.data<int32_t>();
  for (int64_t n = 0; n < size.N; ++n)
    DURA_CHECK(labels[n] >= 0 && labels[n] < size.K, "cam_energy: label ", labels[n], " in row ", n, ", there are ", size.K, " classes");
  dispatch_floating("cam_energy_forward", in.features.dtype(), [&]<class T>(T) {
    using Compute = typename Element<T>::Compute;
    for (int64_t n = 0; n < size.N; ++n)
      rows.other.data<int32_t>()[n] = formula::strongest_other(logits.data<T>() + n * size.K, labels[n], size.K);
    const T* features = in.features.data<T>();
    Compute* maps = rows.maps.data<Compute>();
    parallel_for(size.N * size.cells, [&](int64_t i) {
      const Margin<T> u(in, rows, i / size.cells, size.C);
      double sum = 0;
      for (int64_t c = 0; c < size.C; ++c) sum += u[c] * static_cast<double>(Element<T>::load(features[i * size.C + c]));
      maps[i] = static_cast<Compute>(formula::relu(sum));
    });
    double* sums = rows.sums.data<double>();
    double total = 0;
    for (int64_t n = 0; n < size.N; ++n) {
      sum_row(maps + n * size.cells, in.lesion.data<uint8_t>() + n * size.cells, size.cells, sums + 2 * n);
      if (sums[2 * n] != 0) total += formula::energy_outside(sums[2 * n], sums[2 * n + 1]);
    }
    const int64_t count = rows_that_count(rows.sums);
    loss.data<Compute>()[0] = static_cast<Compute>(count > 0 ? strength * total / static_cast<double>(count) : 0);
  });
}

void CpuBackend::cam_energy_backward(const CamEnergyInputs& in, const CamEnergyRows& rows, double strength, const Tensor& dloss,
                                     GradTarget dfeatures, GradTarget dweight) {
  const Sizes size(in);
  const double* sums = rows.sums.data<double>();
  const auto count = static_cast<double>(rows_that_count(rows.sums));
  dispatch_floating("cam_energy_backward", in.features.dtype(), [&]<class T>(T) {
    using Compute = typename Element<T>::Compute;
    std::vector<double> g(static_cast<size_t>(size.N * size.cells));
    for (size_t i = 0; i < g.size(); ++i) {
      const double* row = sums + 2 * (static_cast<int64_t>(i) / size.cells);
      if (row[0] != 0)
        g[i] =
            static_cast<double>(dloss.data<Compute>()[0]) * strength / count *
            formula::energy_slope(static_cast<double>(rows.maps.data<Compute>()[i]), in.lesion.data<uint8_t>()[i] ? 1 : 0, row[0], row[1]);
    }
    if (dfeatures.wanted()) {
      T* out = dfeatures.tensor.data<T>();
      parallel_for(size.N * size.cells, [&](int64_t i) {
        const Margin<T> u(in, rows, i / size.cells, size.C);
        const double slope = g[static_cast<size_t>(i)];
        for (int64_t c = 0; c < size.C; ++c)
          cpu::put(out, i * size.C + c, static_cast<Compute>(slope == 0 ? 0 : slope * u[c]), dfeatures.accumulate);
      });
    }
    if (!dweight.wanted()) return;
    const T* features = in.features.data<T>();
    const int32_t *labels = in.labels.data<int32_t>(), *others = rows.other.data<int32_t>();
    parallel_ranges(size.C, 256, [&](int64_t begin, int64_t end) {
      const int64_t width = end - begin;
      std::vector<double> total(static_cast<size_t>(size.K * width)), of_row(static_cast<size_t>(width));
      for (int64_t n = 0; n < size.N; ++n) {
        if (sums[2 * n] == 0) continue;
        std::fill(of_row.begin(), of_row.end(), 0.0);
        for (int64_t i = n * size.cells; i < (n + 1) * size.cells; ++i)
          for (int64_t c = 0; c < width; ++c)
            of_row[static_cast<size_t>(c)] +=
                g[static_cast<size_t>(i)] * static_cast<double>(Element<T>::load(features[i * size.C + begin + c]));
        for (int64_t c = 0; c < width; ++c) {
          total[static_cast<size_t>(labels[n] * width + c)] += of_row[static_cast<size_t>(c)];
          total[static_cast<size_t>(others[n] * width + c)] -= of_row[static_cast<size_t>(c)];
        }
      }
      for (int64_t k = 0; k < size.K; ++k)
        for (int64_t c = 0; c < width; ++c)
          cpu::put(dweight.tensor.data<T>(), k * size.C + begin + c, static_cast<Compute>(total[static_cast<size_t>(k * width + c)]),
                   dweight.accumulate);
    });
  });
}

void CpuBackend::add_cam_energy(const Tensor& sums, const Tensor& total) {
  const double* s = sums.data<double>();
  double* to = total.data<double>();
  for (int64_t n = 0; n < sums.shape()[0]; ++n) {
    if (s[2 * n] == 0) continue;
    to[0] += formula::energy_outside(s[2 * n], s[2 * n + 1]);
    to[1] += 1;
  }
}

}  // namespace dura
