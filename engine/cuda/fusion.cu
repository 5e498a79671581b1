// Whether cuDNN's fused graphs are to be trusted. No description of a graph says what an engine computes, so on a card each pattern is
// compared once, on small tensors, with what it is put together from: a graph that is wrong costs its speed, not the card and not a model.
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "engine/base/log.h"
#include "engine/cuda/cuda_backend.h"

namespace dura::cuda {
inline namespace DURA_CUDA_BUILD {
namespace {

// Sizes that engines for tensor cores take. Few enough images that a channel's statistics are known from its signs.
constexpr int64_t batch = 2, side = 4, channels = 32;

bool fusion_allowed() {
  const char* text = std::getenv("DURA_CUDA_FUSION");
  const std::string value = text ? text : "1";
  if (value != "0" && value != "1") fail_usage("DURA_CUDA_FUSION is '", value, "'. It must be 0 (no fused graphs of cuDNN) or 1.");
  return value == "1";
}

// In [-1,1).
double noise(int64_t i, uint64_t key) {
  return static_cast<double>(formula::mix64(static_cast<uint64_t>(i) ^ key << 32) >> 11) * 0x1p-52 - 1;
}
// Away from 0 on both sides, half of each channel on either, and so it is normalised: rounding alone moves nothing over the edge of a ReLU.
double two_sided(int64_t i, uint64_t key) {
  const int64_t sign = (i / channels + i % channels) % 2 == 0 ? 1 : -1;
  return static_cast<double>(sign) * (1 + 0.25 * noise(i, key));
}

// "" where what was found is within a tolerance for its type of what is expected.
std::string difference_of(const char* what, DType dtype, const std::vector<double>& found, const std::vector<double>& expected) {
  const double tolerance = dtype == DType::f32 ? 1e-3 : 0.03;
  double largest = 0, difference = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    largest = std::max(largest, std::abs(expected[i]));
    const double d = std::abs(found[i] - expected[i]);
    difference = std::isfinite(d) ? std::max(difference, d) : INFINITY;
  }
  return difference <= tolerance * largest ? "" : concat(what, " differs by ", difference, ", where the largest value is ", largest);
}

}  // namespace

CudaBackend::CudaBackend(Driver& driver, Stream stream, std::shared_ptr<MemorySource> memory)
    : driver_(driver), stream_(stream), memory_(std::move(memory)), staging_(driver, stream), fusion_(fusion_allowed()) {}

// Tensors of the comparison, from the pool: the question may be asked in a dry run, where others have no bytes.
class CudaBackend::Comparison {
 public:
  explicit Comparison(CudaBackend& backend) : b_(backend), scope_(backend.device(), backend.memory_) {}

  Tensor empty(const Shape& shape, DType dtype) const { return Tensor::empty(shape, dtype, b_.device(), "comparison of a fused graph"); }
  Tensor bytes(size_t count) const { return count == 0 ? Tensor() : empty({static_cast<int64_t>(count)}, DType::u8); }
  template <class F>
  Tensor filled(const Shape& shape, DType dtype, const F& value) const {
    const Tensor t = empty(shape, dtype);
    with_type(dtype, [&]<class T>(T) {
      std::vector<T> host(static_cast<size_t>(t.numel()));
      for (size_t i = 0; i < host.size(); ++i) host[i] = formula::stored<T>(value(static_cast<int64_t>(i)));
      b_.upload(host.data(), t);
    });
    return t;
  }
  std::vector<double> read(const Tensor& t) const {
    std::vector<double> values(static_cast<size_t>(t.numel()));
    with_type(t.dtype(), [&]<class T>(T) {
      std::vector<T> host(values.size());
      b_.download(t, host.data());
      for (size_t i = 0; i < host.size(); ++i) values[i] = static_cast<double>(formula::loaded(host[i]));
    });
    return values;
  }

  std::string convolution(DType dtype, const ConvKey& key) const {
    const ConvGeometry g{
        .N = batch, .H = side, .W = side, .C = channels, .K = channels, .R = 3, .S = 3, .P = side, .Q = side, .padding = 1};
    const Shape image{batch, side, side, channels};
    const auto from = [](uint64_t key_of_noise) { return [key_of_noise](int64_t i) { return noise(i, key_of_noise); }; };
    const Tensor x = filled(image, dtype, from(1)), w = filled({channels, 3, 3, channels}, dtype, from(2));
    const Epilogue all{.scale = {},
                       .bias = key.bias ? filled({channels}, DType::f32, from(3)) : Tensor(),
                       .residual = key.residual ? filled(image, dtype, from(4)) : Tensor(),
                       .relu = key.relu};
    const Tensor fused = empty(image, dtype), bare = empty(image, dtype);
    b_.conv_forward(g, x, {w}, all, bytes(b_.conv_workspace(g, dtype, key)), fused);
    b_.conv_forward(g, x, {w}, {}, bytes(b_.conv_workspace(g, dtype, {})), bare);
    b_.scale_shift_act(bare, all, bare);
    return difference_of("y", dtype, read(fused), read(bare));
  }

  std::string batch_norm(DType dtype, const BatchNormOptions& o) const {
    const Shape image{batch, side, side, channels};
    const auto constant = [](double value) { return [value](int64_t) { return value; }; };
    const Tensor x = filled(image, dtype, [](int64_t i) { return two_sided(i, 1); }),
                 residual = o.residual ? filled(image, dtype, [](int64_t i) { return 0.25 * noise(i, 2); }) : Tensor(),
                 dy = filled(image, dtype, [](int64_t i) { return noise(i, 3); });
    const auto per_channel = [&] { return filled({channels}, DType::f32, constant(1)); };
    const BatchNormParameters p{.gamma = filled({channels}, DType::f32, [](int64_t k) { return 1 + 0.125 * static_cast<double>(k % 3); }),
                                .beta = filled({channels}, DType::f32, [](int64_t k) { return 0.125 * static_cast<double>(k % 3); }),
                                .running_mean = per_channel(),
                                .running_variance = per_channel()};
    struct Results {
      Tensor y;
      BatchNormStatistics statistics;
      BatchNormGradients gradients;
    };
    const BatchNormSpace space = b_.batch_norm_space(image, dtype, o);
    if (o.relu && space.mask == 0) return "";  // no engine at this size: nothing to compare
    const auto compute = [&](bool fused) {
      Results r{.y = empty(image, dtype),
                .statistics = {.mean = per_channel(),
                               .variance = per_channel(),
                               .invstd = per_channel(),
                               .scale = per_channel(),
                               .shift = per_channel()},
                .gradients = {.sum_g = per_channel(), .sum_gx = per_channel()}};
      if (o.writes_g) r.gradients.g = empty(image, dtype);
      r.gradients.dx.tensor = empty(image, dtype);
      if (fused) r.statistics.mask = bytes(space.mask);
      BatchNormBackward in{.dy = dy, .x = x, .relu = o.relu, .statistics = r.statistics};
      if (fused) {
        b_.batch_norm_training_forward(x, o, p, residual, bytes(space.forward_workspace), r.statistics, r.y);
        b_.batch_norm_training_backward(in, o, p.gamma, bytes(space.backward_workspace), r.gradients);
      } else {
        b_.Backend::batch_norm_training_forward(x, o, p, residual, {}, r.statistics, r.y);
        if (o.residual) in.y = r.y;
        b_.Backend::batch_norm_training_backward(in, o, p.gamma, {}, r.gradients);
      }
      return r;
    };
    const Results found = compute(true), expected = compute(false);
    const auto difference = [&](const char* what, const Tensor& f, const Tensor& e) {
      return f.defined() ? difference_of(what, dtype, read(f), read(e)) : "";
    };
    const BatchNormGradients &f = found.gradients, &e = expected.gradients;
    for (const std::string& d :
         {difference("y", found.y, expected.y), difference("the mean", found.statistics.mean, expected.statistics.mean),
          difference("1/deviation", found.statistics.invstd, expected.statistics.invstd), difference("dx", f.dx.tensor, e.dx.tensor),
          difference("dgamma", f.sum_gx, e.sum_gx), difference("dbeta", f.sum_g, e.sum_g), difference("the masked gradient", f.g, e.g)})
      if (!d.empty()) return d;
    return "";
  }

 private:
  CudaBackend& b_;
  MemoryScope scope_;
};

bool CudaBackend::trusts(const std::string& pattern, const std::function<std::string()>& difference) {
  if (asked_) {
    const auto known = trusted_.find(pattern);
    return known == trusted_.end() || known->second;
  }
  const auto [entry, first_question] = trusted_.try_emplace(pattern, true);  // true while it is compared: the comparison runs it
  if (first_question) {
    const std::string found = difference();
    if (!found.empty()) {
      log_warning("cuDNN's graph ", pattern, " does not compute what its parts do: ", found, ". It is computed in parts.");
      entry->second = false;
    }
  }
  return entry->second;
}

bool CudaBackend::trusts(DType dtype, const ConvKey& key) {
  if (!key.residual && !key.bias && !key.relu) return true;
  if (!fusion_ || driver_.fusion_is_proven()) return fusion_;
  const ConvKey pattern{.bias = key.bias, .residual = key.residual, .relu = key.relu};
  return trusts(
      concat("convolution ", dtype_name(dtype), key.residual ? " + residual" : "", key.bias ? " + bias" : "", key.relu ? ", relu" : ""),
      [&] { return Comparison(*this).convolution(dtype, pattern); });
}

bool CudaBackend::trusts(DType dtype, const BatchNormOptions& o) {
  if (!fusion_ || driver_.fusion_is_proven()) return fusion_;
  return trusts(concat("batch_norm ", dtype_name(dtype), o.residual ? " + residual" : "", o.relu ? ", relu, mask" : "",
                       o.writes_g ? ", masked gradient" : ""),
                [&] { return Comparison(*this).batch_norm(dtype, o); });
}

}  // namespace DURA_CUDA_BUILD
}  // namespace dura::cuda
