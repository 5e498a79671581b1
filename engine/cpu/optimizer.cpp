// Loss scaling and Adam over flat arrays.
#include <cmath>
#include <vector>

#include "engine/cpu/cpu_backend.h"
#include "engine/cpu/element.h"
#include "engine/base/numbers.h"
#include "engine/base/parallel.h"

namespace dura {

using cpu::dispatch_floating;
using cpu::Element;
using cpu::grain;

void CpuBackend::scale_by_loss_scale(const Tensor& x, const Tensor& state, const Tensor& y) {
  dispatch_floating("scale_by_loss_scale", x.dtype(), [&]<class T>(T) {
    using C = typename Element<T>::Compute;
    const C scale = static_cast<C>(state.data<double>()[StepState::loss_scale]);
    const T* px = x.data<T>();
    T* py = y.data<T>();
    for (int64_t i = 0; i < x.numel(); ++i) py[i] = Element<T>::store(Element<T>::load(px[i]) * scale);
  });
}

void CpuBackend::check_gradients(const Tensor& grad, const Tensor& state) {
  dispatch_floating("check_gradients", grad.dtype(), [&]<class T>(T) {
    const T* g = grad.data<T>();
    const int64_t count = grad.numel(), tasks = ceil_div(count, grain);
    std::vector<double> partial(static_cast<size_t>(tasks));
    parallel_for(tasks, [&](int64_t t) {
      constexpr int64_t lanes = 8;  // separate sums: one sum would wait for each addition
      double sum[lanes] = {};
      const int64_t begin = t * grain, end = std::min(count, begin + grain), whole = begin + (end - begin) / lanes * lanes;
      for (int64_t i = begin; i < whole; i += lanes)
        for (int64_t lane = 0; lane < lanes; ++lane) {
          const double v = static_cast<double>(Element<T>::load(g[i + lane]));
          sum[lane] += v * v;
        }
      for (int64_t i = whole; i < end; ++i) {
        const double v = static_cast<double>(Element<T>::load(g[i]));
        sum[0] += v * v;
      }
      for (double s_lane : sum) partial[static_cast<size_t>(t)] += s_lane;
    });
    double total = 0;
    for (double p : partial) total += p;
    formula::enter_square_sum(total, state.data<double>());
  });
}

void CpuBackend::adam_update(const Tensor& master, const Tensor& grad, const Tensor& m, const Tensor& v, const Tensor& compute,
                             const AdamOptions& o, const Tensor& state) {
  const double* s = state.data<double>();
  if (s[StepState::overflow] != 0) return;
  const formula::AdamStep step = formula::adam_step(o, s);
  dispatch_floating("adam_update", grad.dtype(), [&]<class T>(T) {
    using C = typename Element<T>::Compute;
    const T* pg = grad.data<T>();
    C *pp = master.data<C>(), *pm = m.data<C>(), *pv = v.data<C>();
    T* pc = cpu::data_or_null<T>(compute);
    parallel_ranges(master.numel(), grain, [&](int64_t begin, int64_t end) {
      const formula::AdamStep constants = step;
      const T* __restrict gradient = pg;
      C* __restrict parameter = pp, * __restrict first = pm, * __restrict second = pv;
      for (int64_t i = begin; i < end; ++i)
        parameter[i] = formula::adam<C>(constants, Element<T>::load(gradient[i]), parameter[i], first + i, second + i,
                                        [](C x) { return std::sqrt(x); });
      if (pc)
        for (int64_t i = begin; i < end; ++i) pc[i] = Element<T>::store(pp[i]);
    });
  });
}

void CpuBackend::advance_state(const LossScaleOptions& o, bool scaled, const Tensor& state) {
  formula::advance_state(o, scaled, state.data<double>());
}

}  // namespace dura
