#include "apps/evaluation/ensemble.h"

#include <algorithm>

#include "apps/evaluation/split_evaluation.h"
#include "engine/base/check.h"
#include "engine/base/text.h"

namespace dura {

std::vector<ModelFile> read_models(const std::vector<std::string>& files, const TensorOptions& options) {
  DURA_CHECK(!files.empty(), "an ensemble of no models");
  std::vector<ModelFile> models;
  for (const std::string& file : files) {
    if (std::count(files.begin(), files.end(), file) > 1) fail_usage("the model ", file, " is given twice: its answer would count double");
    models.push_back(read_model(file, options));
    const ModelFile &first = models.front(), &last = models.back();
    if (first.model->classes() != last.model->classes())
      fail_usage(files.front(), " has the classes ", joined(first.model->classes(), ", "), ", ", file, " has ",
                 joined(last.model->classes(), ", "), ". Models that answer together must have the same, in the same order.");
    if (first.preprocessing.metadata() != last.preprocessing.metadata())
      fail_usage(files.front(), " prepares pictures as (", first.preprocessing.steps().description(), "), ", file, " as (",
                 last.preprocessing.steps().description(), "). Models that answer together must do the same; use them one by one.");
  }
  return models;
}

std::vector<Classifier*> networks_of(const std::vector<ModelFile>& models) {
  std::vector<Classifier*> networks;
  for (const ModelFile& file : models) networks.push_back(file.model.get());
  return networks;
}

Ensemble::Ensemble(const std::vector<std::string>& files, const EnsembleOptions& options)
    : options_(options), models_(read_models(files, options.tensors)) {}

std::vector<Predictions> Ensemble::answers(const Dataset& dataset, LoaderOptions loader) {
  loader.batch_size = options_.batch;
  std::vector<Predictions> answers;
  for (const ModelFile& file : models_) answers.push_back(predict(*file.model, dataset, loader, options_.capture, *options_.ranks));
  return answers;
}

std::vector<Predictions> Ensemble::untouched(const Dataset& dataset) { return answers(dataset, {.policies = {}, .items = {}}); }

std::vector<Predictions> Ensemble::balanced(const Dataset& dataset, int64_t rare) {
  std::vector<AugmentPolicy> policies(dataset.class_counts().size(), light_augmentation());
  policies[static_cast<size_t>(rare)] = strong_augmentation();
  return answers(dataset, {.policies = policies, .items = balanced_items(dataset)});
}

std::vector<Predictions> Ensemble::changed(const Dataset& dataset, const AugmentPolicy& change) {
  std::vector<LoaderItem> items;
  for (int64_t i = 0; i < dataset.size(); ++i) items.push_back({.sample = i, .variant = 1});
  return answers(dataset, {.policies = std::vector<AugmentPolicy>(dataset.class_counts().size(), change), .items = items});
}

std::vector<Predictions> Ensemble::views(const Dataset& dataset, int64_t views) {
  std::vector<Predictions> answers;
  for (const ModelFile& file : models_)
    for (Predictions& view :
         predict_views(*file.model, dataset, {.views = views, .batch = options_.batch, .capture = options_.capture}, *options_.ranks))
      answers.push_back(std::move(view));
  return answers;
}

SplitAnswers answers_of(Ensemble& models, const Dataset& dataset, const EvaluateOptions& o, int64_t rare) {
  SplitAnswers all{.untouched = models.untouched(dataset), .balanced = {}, .views = {}, .changed = {}};
  if (o.balanced) all.balanced = models.balanced(dataset, rare);
  for (const AugmentPolicy& change : asked_changes(o.changes)) all.changed.push_back(models.changed(dataset, change));
  if (o.views > 0) all.views = models.views(dataset, o.views);
  return all;
}

int64_t decided_differently(const std::vector<std::vector<int32_t>>& decisions) {
  int64_t count = 0;
  for (size_t i = 0; i < decisions[0].size(); ++i)
    count += std::any_of(decisions.begin(), decisions.end(), [&](const std::vector<int32_t>& d) { return d[i] != decisions[0][i]; });
  return count;
}

}  // namespace dura
