// Several networks that answer as one: the mean of their probabilities, and one heat map of the class that this mean decides for.
#pragma once
#include <span>
#include <vector>

#include "models/explain/explanation.h"

namespace dura {

// Of the same picture, all of one class. A map is divided by its sum first, so that a network with larger logits, whose maps are larger,
// does not count for more; one without evidence adds nothing. Error for none, for maps of
// different classes, sizes or places, or whose values are not finite.
Explanation mean_explanation(const std::vector<Explanation>& each);

// As explain() of one network, whose maps keep their values where it is alone. All networks must take pictures prepared in the same way.
std::vector<Explanation> explain(std::span<Classifier* const> networks, const Tensor& images, const ExplainOptions& options);
std::vector<Explanation> explain(std::span<Classifier* const> networks, const Dataset& dataset, const std::vector<int64_t>& samples,
                                 int64_t batch, const ExplainOptions& options);

}  // namespace dura
