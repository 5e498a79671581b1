// Temperature scaling: one number that makes probabilities less (above 1) or more (below 1) sure of themselves, softmax(logits / T),
// without moving any decision for the most probable class (Guo et al. 2017, section 4.2).
#pragma once
#include <cstdint>
#include <vector>

#include "apps/training/prediction.h"

namespace dura {

struct Temperature {
  double value = 1;
  bool at_bound = false;  // the best T lies outside of [0.05, 20]: every validation picture is right (or the ranking is upside down), and T
                          // is not to be used
};

// The T of the smallest mean log loss of softmax(logits / T). The loss is convex in 1/T, so that the minimum is found by bisection of its
// derivative. Throws for no rows or logits that are not finite.
Temperature fit_temperature(const std::vector<int32_t>& labels, const std::vector<double>& logits, int64_t classes);

// Logits divided by T, and the probabilities they give.
Predictions with_temperature(Predictions predictions, double temperature);

}  // namespace dura
