// What a split says about a model: the numbers, as text, JSON and CSV. Every prediction stays tied to its file.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "apps/training/metrics.h"
#include "apps/training/prediction.h"
#include "data/dataset.h"

namespace dura {

struct ClassScores {
  std::string name;
  int64_t support = 0;
  double precision = 0, recall = 0, f1 = 0, auc = 0, average_precision = 0;  // the last two: this class against the rest; NaN where one side is empty
};

struct Evaluation {
  std::string title;  // "test, untouched"
  std::vector<ClassScores> classes;
  Confusion confusion = Confusion(0);
  double accuracy = 0, balanced_accuracy = 0, log_loss = 0;
};

// The predicted class is the most probable one.
Evaluation evaluate(const Predictions& predictions, const std::vector<std::string>& classes, const std::string& title);

std::string evaluation_text(const Evaluation& e);
std::string evaluation_json(const std::vector<Evaluation>& evaluations);
// file,label,predicted,correct,p_<class>...,patient: one row per picture in the data set's order.
std::string predictions_csv(const Predictions& predictions, const Dataset& dataset, const Manifest& manifest, const std::vector<std::string>& classes);

}  // namespace dura
