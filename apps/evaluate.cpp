// dura-evaluate: how good is a model on a split? Nothing is shuffled, every prediction is written beside its file.
#include <filesystem>
#include <iostream>

#include "apps/program.h"
#include "apps/report/run_report.h"
#include "apps/training/data_options.h"
#include "apps/training/evaluation.h"
#include "engine/file.h"
#include "engine/log.h"

namespace {

using namespace dura;

struct EvaluateOptions {
  DataOptions data;
  std::string model, split = "test", out;
  int64_t batch = 16;
  bool balanced = false;
};

// The rare class brought up to the size of the largest by augmented copies.
Predictions predict_balanced(Classifier& model, const Dataset& dataset, const EvaluateOptions& o) {
  size_t rare = 0;
  for (size_t c = 1; c < dataset.class_counts().size(); ++c)
    if (dataset.class_counts()[c] < dataset.class_counts()[rare]) rare = c;
  std::vector<AugmentPolicy> policies(dataset.class_counts().size(), light_augmentation());
  policies[rare] = strong_augmentation();
  Loader loader(dataset, {.batch_size = o.batch, .policies = policies, .items = balanced_items(dataset)});
  return predict(model, loader);
}

int evaluate_split(const Program& program, const EvaluateOptions& o) {
  const std::optional<Split> split = parse_split(o.split);
  if (!split) fail_usage("--split ", o.split, ": use train, val or test");
  std::filesystem::create_directories(o.out);
  ModelFile file = read_model(o.model, {.device = program.device()});
  const DataSplits data = open_splits(o.data, file.model->classes());
  const std::unique_ptr<Dataset> dataset = data.open(*split, o.data, file.preprocessing, false);

  Loader loader(*dataset, {.batch_size = o.batch, .policies = {}, .items = {}});
  const Predictions predictions = predict(*file.model, loader);
  std::vector<Evaluation> evaluations = {evaluate(predictions, file.model->classes(), o.split + ", untouched")};
  if (o.balanced) evaluations.push_back(evaluate(predict_balanced(*file.model, *dataset, o), file.model->classes(), o.split + ", balanced with augmented copies of the rare class"));
  for (const Evaluation& e : evaluations) std::cout << evaluation_text(e) << "\n";
  std::cout << std::flush;

  const std::filesystem::path out = o.out;
  write_file_atomically(out / ("predictions_" + o.split + ".csv"), predictions_csv(predictions, *dataset, data.manifest, file.model->classes()));
  write_file_atomically(out / ("evaluation_" + o.split + ".json"), evaluation_json(evaluations));
  write_run_report(out / "report.html", {.run = std::filesystem::path(o.model).parent_path(), .model_sha256 = file.sha256, .manifest = data.manifest.name,
                                         .manifest_sha256 = data.manifest_sha256, .bad_images = dataset->bad_images(), .evaluations = evaluations});
  log_info("wrote ", (out / "report.html").string(), ", evaluation_", o.split, ".json and predictions_", o.split, ".csv beside it");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  EvaluateOptions options;
  Program program({.name = "dura-evaluate",
                   .summary = "Scores a model on a split: precision, recall, F1, AUC, confusion matrix, predictions per file.",
                   .examples = {"dura-evaluate --data brain --classes Menin=meningioma Glioma --model run/model.safetensors --out run --balanced"}});
  options.data.declare(program);
  program.heading("Evaluation");
  program.text("--model", options.model, "Model written by dura-train", {.required = true});
  program.text("--split", options.split, "train, val or test", {.choices = {"train", "val", "test"}});
  program.text("--out", options.out, "Folder for the report", {.required = true});
  program.integer("--batch", options.batch, "Images at a time", {.min = 1, .max = 4096});
  program.flag("--balanced", options.balanced, "Also score the set balanced by augmented copies of the rare class, labelled as such");
  return program.run(argc, argv, [&] { return evaluate_split(program, options); });
}
