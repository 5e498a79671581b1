// Softmax, cross-entropy, metric sums: small tables, computed in double.
#include <cmath>

#include "engine/cpu/cpu_backend.h"
#include "engine/cpu/element.h"
#include "engine/core/formula.h"

namespace dura {

using cpu::dispatch_floating;
using cpu::Element;

namespace {

template <class C>
double loss_norm(const C* weights, const int32_t* labels, int64_t N, ClassWeightNorm norm) {
  if (norm == ClassWeightNorm::sum_over_batch || !weights) return static_cast<double>(N);
  double sum = 0;
  for (int64_t n = 0; n < N; ++n) sum += static_cast<double>(weights[labels[n]]);
  return sum;
}

struct RowSum {
  double largest, sum;  // of the row's logits, and of exp(logit - largest)
};
template <class T>
RowSum row_sum(const T* row, int64_t K) {
  const auto logit = [&](int64_t k) { return static_cast<double>(Element<T>::load(row[k])); };
  RowSum r{logit(0), 0};
  for (int64_t k = 1; k < K; ++k) r.largest = std::max(r.largest, logit(k));
  for (int64_t k = 0; k < K; ++k) r.sum += std::exp(logit(k) - r.largest);
  return r;
}

void check_labels(const int32_t* labels, int64_t N, int64_t K) {
  for (int64_t n = 0; n < N; ++n)
    DURA_CHECK(labels[n] >= 0 && labels[n] < K, "cross_entropy: label ", labels[n], " in row ", n, ", there are ", K, " classes");
}

}  // namespace

void CpuBackend::softmax(const Tensor& logits, const Tensor& probabilities) {
  const int64_t N = logits.shape()[0], K = logits.shape()[1];
  dispatch_floating("softmax", logits.dtype(), [&]<class T>(T) {
    using C = typename Element<T>::Compute;
    const T* px = logits.data<T>();
    C* py = probabilities.data<C>();
    for (int64_t n = 0; n < N; ++n) {
      const RowSum r = row_sum(px + n * K, K);
      for (int64_t k = 0; k < K; ++k)
        py[n * K + k] = static_cast<C>(std::exp(static_cast<double>(Element<T>::load(px[n * K + k])) - r.largest) / r.sum);
    }
  });
}

// From the logits, not from the probabilities: log of a probability that rounded to 0 would be infinite.
void CpuBackend::cross_entropy_forward(const Tensor& logits, const Tensor& labels, const Tensor& class_weights,
                                       const CrossEntropyOptions& options, const Tensor& loss) {
  const int64_t N = logits.shape()[0], K = logits.shape()[1];
  const int32_t* label = labels.data<int32_t>();
  check_labels(label, N, K);
  const bool by_weights = options.norm == ClassWeightNorm::sum_of_weights;
  dispatch_floating("cross_entropy_forward", logits.dtype(), [&]<class T>(T) {
    using C = typename Element<T>::Compute;
    const T* px = logits.data<T>();
    const C* weights = cpu::data_or_null<C>(class_weights);
    double total = 0;
    for (int64_t n = 0; n < N; ++n) {
      const RowSum r = row_sum(px + n * K, K);
      for (int64_t k = 0; k < K; ++k) {
        const double share = formula::class_share(k, label[n], K, weights, by_weights, options.label_smoothing);
        // A logit of -infinity is harmless where it does not count.
        if (share != 0) total += share * (std::log(r.sum) + r.largest - static_cast<double>(Element<T>::load(px[n * K + k])));
      }
    }
    loss.data<C>()[0] = static_cast<C>(total / loss_norm(weights, label, N, options.norm));
  });
}

void CpuBackend::cross_entropy_backward(const Tensor& probabilities, const Tensor& labels, const Tensor& class_weights,
                                        const CrossEntropyOptions& options, const Tensor& dloss, GradTarget dlogits) {
  const int64_t N = probabilities.shape()[0], K = probabilities.shape()[1];
  const int32_t* label = labels.data<int32_t>();
  const bool by_weights = options.norm == ClassWeightNorm::sum_of_weights;
  dispatch_floating("cross_entropy_backward", dlogits.tensor.dtype(), [&]<class T>(T) {
    using C = typename Element<T>::Compute;
    const C *p = probabilities.data<C>(), *weights = cpu::data_or_null<C>(class_weights);
    const double factor = static_cast<double>(dloss.data<C>()[0]) / loss_norm(weights, label, N, options.norm);
    T* out = dlogits.tensor.data<T>();
    const auto share = [&](int64_t n, int64_t k) {
      return formula::class_share(k, label[n], K, weights, by_weights, options.label_smoothing);
    };
    for (int64_t n = 0; n < N; ++n) {
      double all = 0;
      for (int64_t k = 0; k < K; ++k) all += share(n, k);
      for (int64_t k = 0; k < K; ++k)
        cpu::put(out, n * K + k, static_cast<C>(factor * (all * static_cast<double>(p[n * K + k]) - share(n, k))), dlogits.accumulate);
    }
  });
}

void CpuBackend::add_metrics(const Tensor& probabilities, const Tensor& labels, const Tensor& loss, const Tensor& sums) {
  const int64_t N = probabilities.shape()[0], K = probabilities.shape()[1];
  const int32_t* label = labels.data<int32_t>();
  double* s = sums.data<double>();
  dispatch_floating("add_metrics", probabilities.dtype(), [&]<class T>(T) {
    using C = typename Element<T>::Compute;
    const C* p = probabilities.data<C>();
    s[0] += static_cast<double>(loss.data<C>()[0]) * static_cast<double>(N);
    for (int64_t n = 0; n < N; ++n) {
      int64_t best = 0;
      for (int64_t k = 1; k < K; ++k)
        if (p[n * K + k] > p[n * K + best]) best = k;
      s[1] -= std::log(std::max(static_cast<double>(p[n * K + label[n]]), 1e-45));
      s[2 + label[n] * K + best] += 1;
    }
  });
}

}  // namespace dura
