// Whether cuDNN's fused graphs are to be trusted. No description of a graph says what an engine computes, so on a card each pattern is
// compared once for each engine that gets it, with what it is put together from: a graph that is wrong costs its speed, not the card and
// not a model. The heuristics give a small graph another engine, so the graph that asked lends the comparison its own.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>

#include "engine/base/log.h"
#include "engine/cuda/cuda_backend.h"

namespace dura::cuda {
inline namespace DURA_CUDA_BUILD {
namespace {

bool fusion_allowed() {
  const char* text = std::getenv("DURA_CUDA_FUSION");
  const std::string value = text ? text : "1";
  if (value != "0" && value != "1") fail_usage("DURA_CUDA_FUSION is '", value, "'. It must be 0 (no fused graphs of cuDNN) or 1.");
  return value == "1";
}

// In [-1,1), by the number of an element.
auto noise(uint64_t key) {
  return [key](int64_t i) { return static_cast<double>(formula::mix64(static_cast<uint64_t>(i) ^ key << 32) >> 11) * 0x1p-52 - 1; };
}
// Away from 0 on both sides, half of each channel on either, and so it is normalised: rounding alone moves nothing over the edge of a ReLU.
double two_sided(int64_t i, int64_t channels, uint64_t key) {
  const int64_t sign = (i / channels + i % channels) % 2 == 0 ? 1 : -1;
  return static_cast<double>(sign) * (1 + 0.25 * noise(key)(i));
}

// The graph with few images, but enough for a channel's statistics. By its name its plan is another than that of a batch of this size.
Graph sample_of(const Graph& graph, int64_t engine) {
  const auto& [N, C, H, W] = graph.tensors[0].extents;
  const int64_t images = std::clamp<int64_t>(ceil_div(32, H * W), 2, std::max<int64_t>(N, 2));
  if (images >= N) return graph;
  Graph sample = graph;
  for (GraphTensor& t : sample.tensors)
    if (t.name != "w" && t.extents[0] == N) t.extents[0] = images;
  sample.name += concat(", ", images, " of the images, engine ", engine);
  return sample;
}

// "" where what was found is within a tolerance for its type of what is expected: of the largest value, or of 1 where values cancel.
std::string difference_of(const char* what, DType dtype, const std::vector<double>& found, const std::vector<double>& expected) {
  const double tolerance = dtype == DType::f32 ? 1e-3 : 0.03;
  double largest = 1, difference = 0;
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

  // What `fused`, a convolution with the epilogue of `key`, computes otherwise than its parts; `g` has its sizes.
  std::string convolution(const Graph& fused, const ConvGeometry& g, DType dtype, const ConvKey& key) const {
    const Shape image{g.N, g.P, g.Q, g.K};
    const Tensor x = filled({g.N, g.H, g.W, g.C}, dtype, noise(1)), w = filled({g.K, g.R, g.S, g.C}, dtype, noise(2)),
                 y = empty(image, dtype), bare = empty(image, dtype), narrow = empty({g.K}, dtype);
    const Epilogue all{.scale = {},
                       .bias = key.bias ? filled({g.K}, DType::f32, noise(3)) : Tensor(),
                       .residual = key.residual ? filled(image, dtype, noise(4)) : Tensor(),
                       .relu = key.relu};
    if (key.bias) b_.narrowed(all.bias, dtype, narrow.raw());
    run(fused, {x, w, all.residual, key.bias ? narrow : Tensor(), y});
    b_.conv_forward(g, x, {w}, {}, bytes(b_.conv_workspace(g, dtype, {})), bare);
    b_.scale_shift_act(bare, all, bare);
    return difference_of("y", dtype, read(y), read(bare));
  }

  std::string batch_norm(const Graph& forward, const Graph& backward, DType dtype, const BatchNormOptions& o) const {
    const auto& [N, C, H, W] = forward.tensors[0].extents;
    const Shape image{N, H, W, C};
    const auto per_channel = [&, channels = C] { return filled({channels}, DType::f32, [](int64_t) { return 1; }); };
    const Tensor x = filled(image, dtype, [channels = C](int64_t i) { return two_sided(i, channels, 1); }),
                 residual = o.residual ? filled(image, dtype, [](int64_t i) { return 0.25 * noise(2)(i); }) : Tensor(),
                 dy = filled(image, dtype, noise(3)), mask = bytes(b_.largest_batch_norm_mask(image, o));
    const BatchNormParameters p{.gamma = filled({C}, DType::f32, [](int64_t k) { return 1 + 0.125 * static_cast<double>(k % 3); }),
                                .beta = filled({C}, DType::f32, [](int64_t k) { return 0.125 * static_cast<double>(k % 3); }),
                                .running_mean = per_channel(),
                                .running_variance = per_channel()};
    constexpr std::array names = {"y", "dx", "the masked gradient", "the mean", "1/deviation", "dgamma", "dbeta"};
    const auto results = [&] {
      return std::array{empty(image, dtype), empty(image, dtype), o.writes_g ? empty(image, dtype) : Tensor(), per_channel(), per_channel(),
                        per_channel(),       per_channel()};
    };
    const std::array found = results(), expected = results();
    const auto& [y, dx, g, mean, invstd, dgamma, dbeta] = found;
    run(forward, {x, p.gamma, p.beta, residual, y, mask, mean, invstd});
    run(backward, {dy, mask, x, p.gamma, mean, invstd, g, dx, dgamma, dbeta});

    const BatchNormStatistics statistics{
        .mean = expected[3], .variance = per_channel(), .invstd = expected[4], .scale = per_channel(), .shift = per_channel()};
    b_.Backend::batch_norm_training_forward(x, o, p, residual, {}, statistics, expected[0]);
    b_.Backend::batch_norm_training_backward(
        {.dy = dy, .x = x, .y = o.residual ? expected[0] : Tensor(), .relu = o.relu, .statistics = statistics}, o, p.gamma, {},
        {.sum_g = expected[6], .sum_gx = expected[5], .g = expected[2], .dx = {.tensor = expected[1]}});
    for (size_t i = 0; i < names.size(); ++i)
      if (found[i].defined())
        if (std::string d = difference_of(names[i], dtype, read(found[i]), read(expected[i])); !d.empty()) return d;
    return "";
  }

 private:
  // Tensors that a graph does not have are undefined.
  void run(const Graph& graph, const std::vector<Tensor>& tensors) const {
    std::vector<void*> addresses;
    for (const Tensor& t : tensors)
      if (t.defined()) addresses.push_back(t.raw());
    const Tensor workspace = bytes(b_.driver_.workspace_bytes(graph));
    b_.driver_.run(graph, addresses, workspace.defined() ? workspace.raw() : nullptr, b_.stream_);
  }

  CudaBackend& b_;
  MemoryScope scope_;
};

bool CudaBackend::trusts(std::string pattern, const std::vector<Graph>& graphs,
                         const std::function<std::string(const std::vector<Graph>&)>& difference) {
  if (asked_ || driver_.fusion_is_proven()) return true;
  for (const Graph& g : graphs) pattern += concat(", engine ", driver_.engine(g));
  if (const auto known = trusted_.find(pattern); known != trusted_.end()) return known->second;
  std::vector<Graph> samples;
  for (const Graph& g : graphs) samples.push_back(sample_of(g, driver_.engine(g)));
  bool lent = true;
  for (size_t i = 0; i < graphs.size(); ++i) lent = lent && (samples[i] == graphs[i] || driver_.lend_engine(graphs[i], samples[i]));
  std::string found;
  try {
    found = difference(lent ? samples : graphs);
  } catch (const OutOfMemory& e) {
    found = concat("nothing was compared: ", e.what());
  }
  if (!found.empty()) log_warning("cuDNN's graph ", pattern, " is not trusted: ", found, ". It is computed in parts.");
  return trusted_[pattern] = found.empty();
}

bool CudaBackend::takes(const Graph& graph, ConvGeometry g, DType dtype, const ConvKey& key) {
  const bool fused = key.residual || key.bias || key.relu;
  if ((fused && !fusion_) || !supports(graph)) return false;
  g.C = padded_channels(g.C, dtype);
  return !fused || trusts(concat("convolution ", dtype_name(dtype), key.residual ? " + residual" : "", key.bias ? " + bias" : "",
                                 key.relu ? ", relu" : ""),
                          {graph}, [&](const std::vector<Graph>& sample) {
                            g.N = sample[0].tensors[0].extents[0];
                            return Comparison(*this).convolution(sample[0], g, dtype, key);
                          });
}

bool CudaBackend::fuses(const Shape& x, DType dtype, const BatchNormOptions& o) {
  if (!fusion_) return false;
  const std::vector<Graph> graphs = {batch_norm_training_graph(x, dtype, o), batch_norm_backward_graph(x, dtype, o)};
  return supports(graphs[0]) && supports(graphs[1]) &&
         trusts(concat("batch_norm ", dtype_name(dtype), o.residual ? " + residual" : "", o.relu ? ", relu, mask" : "",
                       o.writes_g ? ", masked gradient" : ""),
                graphs, [&](const std::vector<Graph>& samples) { return Comparison(*this).batch_norm(samples[0], samples[1], dtype, o); });
}

}  // namespace DURA_CUDA_BUILD
}  // namespace dura::cuda
