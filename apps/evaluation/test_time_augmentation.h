// Test-time augmentation: the model looks at several views of a picture and answers with the mean of its probabilities. How far the views
// disagree says how much an answer hangs on how the head happened to lie.
#pragma once
#include <cstdint>
#include <vector>

#include "apps/training/prediction.h"

namespace dura {

struct AveragedPredictions {
  Predictions mean;            // probabilities are means over the views; logits are their logarithms
  std::vector<double> spread;  // by row: standard deviation over the views of the probability of class `of_class`
};

struct TestTimeAugmentation {
  int64_t views =
      2;  // the picture as it is, and views - 1 lightly augmented versions of it: the same in every run, the same policy for every class
  int64_t of_class = 0;
  double temperature = 1;  // of each view's logits
  int64_t batch = 16;
  bool capture = true;  // CapturedStepOptions
};

AveragedPredictions predict_views(Classifier& model, const Dataset& dataset, const TestTimeAugmentation& options);

}  // namespace dura
