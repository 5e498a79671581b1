// One model, or several that answer together with the mean of their probabilities (Lakshminarayanan, Pritzel and Blundell 2017, section
// 2.4), as those of a cross-validation's folds. Where they disagree, the answer hangs on which patients a model was trained on.
#pragma once
#include <string>
#include <vector>

#include "apps/evaluation/adjusted_predictions.h"
#include "data/set/dataset.h"
#include "models/network/model_file.h"

namespace dura {

struct EvaluateOptions;

struct EnsembleOptions {
  TensorOptions tensors = {};
  int64_t batch = 16;
  bool capture = true;             // CapturedStepOptions
  Communicator* ranks = &alone();  // processes that share the pictures; each gets all answers
};

// Models that answer together. UsageError where they have different classes or prepare pictures in different ways, or one comes twice.
std::vector<ModelFile> read_models(const std::vector<std::string>& files, const TensorOptions& options);

std::vector<Classifier*> networks_of(const std::vector<ModelFile>& models);

class Ensemble {
 public:
  // Errors as of read_models.
  Ensemble(const std::vector<std::string>& files, const EnsembleOptions& options);

  size_t size() const { return models_.size(); }
  const std::vector<std::string>& classes() const { return models_[0].model->classes(); }
  const PreprocessingOptions& preprocessing() const { return models_[0].preprocessing; }

  // Each model's answers, logits as they come from it.
  std::vector<Predictions> untouched(const Dataset& dataset);
  // Of the set in which the classes smaller than the largest are brought up to its size by augmented copies, those of `rare` strongly.
  std::vector<Predictions> balanced(const Dataset& dataset, int64_t rare);
  // Of every picture changed within the policy's ranges, whatever its class.
  std::vector<Predictions> changed(const Dataset& dataset, const AugmentPolicy& change);
  // Of `views` views of each picture by each model: size() * views answers.
  std::vector<Predictions> views(const Dataset& dataset, int64_t views);

 private:
  // Of each model.
  std::vector<Predictions> answers(const Dataset& dataset, LoaderOptions loader);

  EnsembleOptions options_;
  std::vector<ModelFile> models_;
};

// What the models say of a split as it is, and of what else was asked for.
struct SplitAnswers {
  std::vector<Predictions> untouched, balanced, views;
  std::vector<std::vector<Predictions>> changed;  // by EvaluateOptions::changes, written out
};
SplitAnswers answers_of(Ensemble& models, const Dataset& dataset, const EvaluateOptions& options, int64_t rare);

// `decisions`: by model, of the same pictures. The number of pictures for which not all decide as the first does.
int64_t decided_differently(const std::vector<std::vector<int32_t>>& decisions);

}  // namespace dura
