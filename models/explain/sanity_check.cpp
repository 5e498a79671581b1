#include "models/explain/sanity_check.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/base/check.h"
#include "engine/core/tensor.h"
#include "layers/module.h"
#include "weights/load.h"

namespace dura {

namespace {

void check_same_size(const HeatMap& a, const HeatMap& b) {
  DURA_CHECK(a.height == b.height && a.width == b.width && !a.values.empty(), "heat maps of ", a.height, "x", a.width, " and ", b.height,
             "x", b.width, " were compared");
}

// From 1; equal values share the mean of their ranks.
std::vector<double> ranks(const std::vector<float>& values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t i, size_t j) { return values[i] < values[j]; });
  std::vector<double> rank(values.size());
  for (size_t first = 0, end = 0; first < order.size(); first = end) {
    while (end < order.size() && values[order[end]] == values[order[first]]) ++end;
    for (size_t k = first; k < end; ++k) rank[order[k]] = static_cast<double>(first + end + 1) / 2;
  }
  return rank;
}

void randomise_head(Classifier& model, uint64_t seed) {
  Linear& head = model.head();
  initialise_dense(head, seed);
  const Tensor& master = head.weight.master();
  const int64_t K = master.shape()[0], C = master.shape()[1];
  std::vector<double> values = download_as_double(master);
  double* w = values.data();
  for (int64_t c = 0; c < C; ++c) {
    double mean = 0;
    for (int64_t k = 0; k < K; ++k) mean += w[k * C + c] / static_cast<double>(K);
    for (int64_t k = 0; k < K; ++k) w[k * C + c] -= mean;
  }
  head.weight.assign(Tensor::of(master.shape(), values));
}

}  // namespace

double rank_correlation(const HeatMap& a, const HeatMap& b) {
  check_same_size(a, b);
  const std::vector<double> x = ranks(a.values), y = ranks(b.values);
  const double mean = static_cast<double>(x.size() + 1) / 2;
  double xx = 0, yy = 0, xy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    xx += (x[i] - mean) * (x[i] - mean);
    yy += (y[i] - mean) * (y[i] - mean);
    xy += (x[i] - mean) * (y[i] - mean);
  }
  return xx > 0 && yy > 0 ? xy / std::sqrt(xx * yy) : 0;
}

double structural_similarity(const HeatMap& a, const HeatMap& b) {
  check_same_size(a, b);
  const int64_t rows = std::min<int64_t>(7, a.height), columns = std::min<int64_t>(7, a.width);
  const auto n = static_cast<double>(rows * columns);
  constexpr double c1 = 0.01 * 0.01, c2 = 0.03 * 0.03;
  double sum = 0;
  for (int64_t top = 0; top + rows <= a.height; ++top)
    for (int64_t left = 0; left + columns <= a.width; ++left) {
      double x = 0, y = 0, xx = 0, yy = 0, xy = 0;
      for (int64_t r = top; r < top + rows; ++r)
        for (int64_t c = left; c < left + columns; ++c) {
          const double u = a.values[static_cast<size_t>(r * a.width + c)], v = b.values[static_cast<size_t>(r * a.width + c)];
          x += u, y += v, xx += u * u, yy += v * v, xy += u * v;
        }
      x /= n, y /= n;
      const double divisor = std::max(1.0, n - 1), vx = (xx - n * x * x) / divisor, vy = (yy - n * y * y) / divisor,
                   vxy = (xy - n * x * y) / divisor;
      sum += (2 * x * y + c1) * (2 * vxy + c2) / ((x * x + y * y + c1) * (vx + vy + c2));
    }
  return sum / static_cast<double>((a.height - rows + 1) * (a.width - columns + 1));
}

std::unique_ptr<Classifier> copy_of(Classifier& model) {
  auto copy = std::make_unique<Classifier>(model.options(), Initialise::no);
  load_state(*copy, state_of(model), Strict::yes, "the model");
  return copy;
}

void randomise_weights(Classifier& model, int first_stage, uint64_t seed, const Tensor& images) {
  randomise_head(model, seed);
  std::vector<ConvBn*> changed;
  for (ConvBn* u : model.backbone().units()) {
    u->bn.set_batch_statistics(false);
    if (ResNet::stage_of(*u) >= first_stage) changed.push_back(u);
  }
  if (changed.empty()) return;
  for (ConvBn* u : changed) {
    initialise_kaiming(u->conv.weight, seed);
    u->bn.reset();
    u->bn.set_batch_statistics(true);
    u->bn.momentum = 1;  // the statistics of this batch take the place of the stored ones
  }
  {
    const NoGradScope no_grad(model, true);
    model.backbone().run(model.normalize(images));
  }
  for (ConvBn* u : changed) {
    u->bn.momentum = BatchNormArgs{}.momentum;
    u->bn.set_batch_statistics(false);
  }
}

namespace {

constexpr size_t shown = 4;

void keep_examples(SanityStep& step, const std::vector<Explanation>& found, size_t count) {
  for (size_t i = 0; i < count; ++i) step.examples.push_back(found[i].map);
}

void compare(SanityStep& step, const std::vector<Explanation>& original, const std::vector<Explanation>& found) {
  for (size_t i = 0; i < original.size(); ++i) {
    ++step.maps;
    step.without_evidence += !found[i].map.has_evidence();
    if (!original[i].map.has_evidence() || !found[i].map.has_evidence()) continue;
    step.rank_correlation += rank_correlation(original[i].map, found[i].map);
    step.structural_similarity += structural_similarity(normalise(original[i].map), normalise(found[i].map));
  }
}

}  // namespace

SanityCheck sanity_check(Classifier& model, const Dataset& dataset, const std::vector<int64_t>& samples, int64_t batch,
                         const ExplainOptions& options, int64_t networks) {
  DURA_CHECK(!samples.empty() && networks > 0, "sanity check: ", samples.size(), " pictures and ", networks, " networks");
  const std::vector<Explanation> original = explain(model, dataset, samples, batch, options);
  SanityCheck check;
  std::vector<SanityStep>& steps = check.steps;
  for (size_t i = 0; i < std::min(shown, samples.size()); ++i) check.slices.push_back(dataset.image(samples[i]));
  for (const char* name : {"nothing", "head", "layer4", "layer3", "layer2", "layer1", "stem"})
    steps.push_back({.randomised = name, .examples = {}});
  compare(steps.front(), original, original);
  keep_examples(steps.front(), original, check.slices.size());

  ExplainOptions own = options;
  own.explained = -1;
  const Tensor images = images_of(dataset, {samples.begin(), samples.begin() + std::min<std::ptrdiff_t>(batch, std::ssize(samples))});
  for (int64_t n = 0; n < networks; ++n) {
    const std::unique_ptr<Classifier> copy = copy_of(model);
    for (size_t k = 1; k < steps.size(); ++k) {
      randomise_weights(*copy, ResNet::stages - static_cast<int>(k - 1), static_cast<uint64_t>(n), images);
      const std::vector<Explanation> found = explain(*copy, dataset, samples, batch, own);
      compare(steps[k], original, found);
      if (n == 0) keep_examples(steps[k], found, check.slices.size());
    }
  }
  for (SanityStep& s : steps) {
    s.rank_correlation /= static_cast<double>(s.maps);
    s.structural_similarity /= static_cast<double>(s.maps);
  }
  return check;
}

}  // namespace dura
