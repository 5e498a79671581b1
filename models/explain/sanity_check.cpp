#include "models/explain/sanity_check.h"

#include <algorithm>

#include "models/explain/map_similarity.h"
#include "models/explain/random_weights.h"

namespace dura {

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
