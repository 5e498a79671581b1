// Naive definition of the guide's loss, in double: see reference.h.
#pragma once
#include <cstdint>
#include <vector>

#include "tests/engine/reference.h"

namespace dura::reference {

struct GuideArgs {
  Array logits;  // (N,K)
  std::vector<int32_t> labels;
  Array lesion;  // (N,H,W), 1 inside
  double strength;
};

struct GuideRow {
  std::vector<double> margin;  // (C)
  int64_t other = 0;
  std::vector<double> m;  // max(., 0), of all cells
  double s = 0, t = 0;
  bool counts = false;
};

// m = relu(sum_c (w[y,c] - w[o,c]) a[h,w,c]), o the strongest class but y; s = sum m, t = sum over the lesion.
inline GuideRow guide_row(const Array& a, const Array& w, const GuideArgs& args, int64_t n) {
  const int64_t cells = a.shape[1] * a.shape[2], C = a.shape[3], y = args.labels[static_cast<size_t>(n)];
  GuideRow row;
  row.other = -1;
  for (int64_t k = 0; k < w.shape[0]; ++k)
    if (k != y && (row.other < 0 || args.logits(n, k) > args.logits(n, row.other))) row.other = k;
  for (int64_t c = 0; c < C; ++c) row.margin.push_back(w(y, c) - w(row.other, c));
  bool lesion = false;
  for (int64_t i = 0; i < cells; ++i) {
    double m = 0;
    for (int64_t c = 0; c < C; ++c) m += row.margin[static_cast<size_t>(c)] * a[(n * cells + i) * C + c];
    row.m.push_back(m > 0 ? m : 0);
    row.s += row.m.back();
    row.t += row.m.back() * args.lesion[n * cells + i];
    lesion = lesion || args.lesion[n * cells + i] > 0;
  }
  row.counts = lesion && row.s >= 1e-7;
  return row;
}

inline double rows_that_count(const Array& a, const Array& w, const GuideArgs& args) {
  double count = 0;
  for (int64_t n = 0; n < a.shape[0]; ++n) count += guide_row(a, w, args, n).counts;
  return count;
}

// strength * the mean of 1 - t/s over the rows that count
inline double cam_energy(const Array& a, const Array& w, const GuideArgs& args) {
  double sum = 0;
  for (int64_t n = 0; n < a.shape[0]; ++n)
    if (const GuideRow row = guide_row(a, w, args, n); row.counts) sum += 1 - row.t / row.s;
  return sum == 0 ? 0 : args.strength * sum / rows_that_count(a, w, args);
}

struct GuideGradients {
  Array da, dw;
};

// d(1 - t/s)/dm = -(lesion - t/s)/s where m > 0
inline GuideGradients cam_energy_backward(const Array& a, const Array& w, const GuideArgs& args, double dloss) {
  GuideGradients g{Array(a.shape), Array(w.shape)};
  const int64_t cells = a.shape[1] * a.shape[2], C = a.shape[3];
  const double count = rows_that_count(a, w, args);
  for (int64_t n = 0; n < a.shape[0]; ++n) {
    const GuideRow row = guide_row(a, w, args, n);
    if (!row.counts) continue;
    for (int64_t i = 0; i < cells; ++i) {
      if (row.m[static_cast<size_t>(i)] == 0) continue;
      const double dm = -dloss * args.strength / count * (args.lesion[n * cells + i] - row.t / row.s) / row.s;
      for (int64_t c = 0; c < C; ++c) {
        const int64_t at = (n * cells + i) * C + c;
        g.da[at] = dm * row.margin[static_cast<size_t>(c)];
        g.dw(args.labels[static_cast<size_t>(n)], c) += dm * a[at];
        g.dw(row.other, c) -= dm * a[at];
      }
    }
  }
  return g;
}

// How near to 0 a value of the maps is before their ReLU.
inline double guide_kink_distance(const Array& a, const Array& w, const GuideArgs& args) {
  double least = std::numeric_limits<double>::infinity();
  const int64_t cells = a.shape[1] * a.shape[2], C = a.shape[3];
  for (int64_t n = 0; n < a.shape[0]; ++n) {
    const GuideRow row = guide_row(a, w, args, n);
    for (int64_t i = 0; i < cells; ++i) {
      double m = 0;
      for (int64_t c = 0; c < C; ++c) m += row.margin[static_cast<size_t>(c)] * a[(n * cells + i) * C + c];
      least = std::min(least, std::abs(m));
    }
  }
  return least;
}

}  // namespace dura::reference
