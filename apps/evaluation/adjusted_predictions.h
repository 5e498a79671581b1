// Predictions made better without training: their probabilities scaled by a temperature, or averaged over views or models.
//
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

// Several answers to the same pictures as one: the mean of their probabilities. How far they disagree says how much an answer hangs on what
// makes them different: another view of the picture, or other training patients.
struct AveragedPredictions {
  Predictions mean;            // probabilities are means over the answers; logits are their logarithms
  std::vector<double> spread;  // by row: standard deviation over the answers of the probability of class `of_class`
};
// One answer stays as it is, with spread 0. Error for none, or for answers to different pictures.
AveragedPredictions mean_of(const std::vector<Predictions>& answers, int64_t of_class);

// Test-time augmentation: the model looks at several views of a picture. View 0 is the picture as it is, the others are lightly augmented:
// the same in every run, the same policy for every class.
struct TestTimeAugmentation {
  int64_t views = 2;
  int64_t batch = 16;
  bool capture = true;  // CapturedStepOptions
};
// An answer for each view.
std::vector<Predictions> predict_views(Classifier& model, const Dataset& dataset, const TestTimeAugmentation& options,
                                       Communicator& ranks = alone());

}  // namespace dura
