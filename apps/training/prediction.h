// The model's answers for a whole split, in the fixed order of the data set.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "apps/training/feature_cache.h"
#include "models/network/inference_step.h"
#include "data/set/loader.h"
#include "engine/comm/communicator.h"
#include "models/network/answer.h"
#include "models/network/classifier.h"

namespace dura {

struct Predictions {
  int64_t classes = 0;
  std::vector<int64_t> samples = {};       // row numbers of the data set
  std::vector<int32_t> labels = {};        // the true classes
  std::vector<double> logits = {};         // samples x classes
  std::vector<double> probabilities = {};  // likewise, softmax in double
};

// What else is to be done with a batch: it is given what the backbone gave for it, (N,h,w,channels) on the model's device.
using FeatureUse = std::function<void(const Batch&, const Tensor& features)>;

// What is to be done before each batch; it may end all by throwing.
using BetweenBatches = std::function<void()>;

// Takes over one row of another set with the same classes.
void append_row(Predictions& to, const Predictions& from, size_t row);

// Runs the model in inference form (no dropout, stored statistics) over every batch of an evaluation loader; padding rows are left out. The
// model's training mode is as before afterwards.
// `use` needs a step that keeps features.
Predictions predict(InferenceStep& step, Loader& loader, const FeatureUse& use = {}, const BetweenBatches& before = {});
// With a step of its own.
Predictions predict(Classifier& model, Loader& loader, bool capture = true);
// The frozen part is computed once for each image; the cache must have a stage.
Predictions predict(Classifier& model, Loader& loader, FeatureCache& cache, const FeatureUse& use = {}, const BetweenBatches& before = {});

// What of an evaluation loader's items (none: each sample once) belongs to this process: some whole batches in a row, so that which
// pictures are computed together does not depend on the number of processes. No items where there are not enough batches for all.
LoaderOptions own_batches(const Dataset& dataset, LoaderOptions all, Communicator& ranks);
// Of all items, by the processes together; each gets all answers.
Predictions predict(Classifier& model, const Dataset& dataset, const LoaderOptions& all, bool capture, Communicator& ranks);

// Those of all processes, by rank, on each of them.
Predictions gathered(const Predictions& own, Communicator& ranks);

}  // namespace dura
