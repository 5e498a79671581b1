// dura-train: transfer learning in two phases. Phase 1 trains the head on the frozen backbone (and whatever of the backbone had no
// weights), phase 2 the last part of the backbone too, with a small learning rate and early stopping.
#include <filesystem>

#include "apps/program/program.h"
#include "apps/report/input_sheet.h"
#include "apps/study/lr_finder_report.h"
#include "apps/program/augment_options.h"
#include "apps/evaluation/fold_summary.h"
#include "apps/program/child_program.h"
#include "apps/study/cross_validation.h"
#include "apps/program/data_options.h"
#include "apps/training/fit.h"
#include "apps/training/history.h"
#include "apps/training/optimizer_options.h"
#include "apps/program/precision.h"
#include "apps/program/resume_settings.h"
#include "apps/program/run_directory.h"
#include "data/image/codec.h"
#include "engine/cpu/cpu_features.h"
#include "engine/base/file.h"
#include "engine/base/log.h"
#include "engine/base/random.h"
#include "engine/base/sha256.h"
#include "weights/conventions.h"
#include "weights/pth.h"

namespace {

using namespace dura;

struct TrainOptions {
  DataOptions data;
  PreprocessingOptions preprocessing;
  AugmentOptions augment;
  OptimizerOptions optimizer;
  GivenConventions given;  // of the weight file
  std::string run, weights, unfreeze = "keras50", monitor = "val_loss";
  std::string sheet, find_lr = "off", precision = "f32", restore = "best";
  std::vector<std::string> class_weights;
  int64_t depth = 50, batch = 16, phase1_epochs = 5, phase2_epochs = 15, patience = 5, seed = 0, folds = 0, feature_mib = -1;
  double phase1_lr = 1e-3, phase2_lr = 1e-5, dropout = 0.5;
  bool resume = false, exact = false, no_capture = false;
};

void declare(Program& program, TrainOptions& o) {
  o.data.declare(program);
  declare(program, o.preprocessing);
  program.heading("Network");
  program.text("--weights", o.weights,
               "ImageNet weights of the backbone (.safetensors or .pth), or a model of dura-train; without, it is initialised and trained "
               "from the first phase on");
  program.integer("--depth", o.depth, "ResNet-18, 34, 50 or 101");
  program.text("--input", o.given.input, "What the weights expect: torch (RGB, mean and deviation) or caffe (BGR, mean)",
               {.choices = {"auto", "torch", "caffe"}});
  program.text("--variant", o.given.variant, "Where bottleneck blocks have their stride", {.choices = {"auto", "v1", "v1_5"}});
  program.text("--stem-pool", o.given.stem_pool, "Pooling of the stem", {.choices = {"auto", "padded", "ceil"}});
  program.number("--dropout", o.dropout, "Share that is dropped before the dense layer", {.min = 0, .max = 0.99});
  program.heading("Training");
  program.text("--out", o.run, "Run directory (required, except with --sheet)");
  program.flag("--resume", o.resume, "Go on with an interrupted run in --out");
  program.integer(
      "--folds", o.folds,
      "Cross-validation: so many runs on parts divided by patient, in fold1, fold2, ... of --out; 0: one run on the manifest's split",
      {.min = 0, .max = 100});
  program.integer("--batch", o.batch, "Images in a step", {.min = 1, .max = 4096});
  program.integer("--phase1-epochs", o.phase1_epochs, "Epochs with the backbone frozen", {.min = 0, .max = 100000});
  program.number("--phase1-lr", o.phase1_lr, "Learning rate of phase 1", {.min = 0});
  program.integer("--phase2-epochs", o.phase2_epochs, "Epochs with its last part free, at most", {.min = 0, .max = 100000});
  program.number("--phase2-lr", o.phase2_lr, "Learning rate of phase 2", {.min = 0});
  program.text("--unfreeze", o.unfreeze,
               "What phase 2 frees: keras50 (the last half of Keras' layers), layer3+, layer3.3+, layer4, 50%convs, all, none");
  program.integer("--patience", o.patience, "Phase 2 stops after so many epochs without improvement; 0: never", {.min = 0, .max = 100000});
  program.text("--monitor", o.monitor, "What early stopping watches: val_loss, val_auc, val_f1 (mean over classes), val_f1_CLASS, ...");
  program.text("--restore", o.restore, "Weights that a phase ends with: of its best epoch by --monitor, or of its last",
               {.choices = {"best", "last"}});
  program.list("--class-weight", o.class_weights,
               "Weights of classes by name: Menin=4 Glioma=1; none; auto: balanced by the number of training images");
  program.text("--precision", o.precision,
               "Type that activations, gradients and working copies of weights are stored in; arithmetic and master weights are f32. f16 "
               "scales the loss; tf32: f32, but a card may round factors to TF32",
               {.choices = {"f32", "tf32", "f16", "bf16"}});
  o.optimizer.declare(program);
  program.integer("--seed", o.seed, "Of everything random", {.min = 0});
  program.integer("--feature-budget", o.feature_mib, "MiB for features of the frozen part; 0: none; -1: a quarter of the memory",
                  {.min = -1});
  program.flag("--exact-conv", o.exact, "No Winograd convolutions");
  program.flag("--no-capture", o.no_capture, "CUDA: start the kernels of each step one by one instead of replaying a captured step");
  program.text(
      "--find-lr", o.find_lr,
      "Sweep the learning rate over what phase1 or phase2 trains, write lr_finder.html, .csv and .json into --out, and train nothing",
      {.choices = {"off", "phase1", "phase2"}});
  program.heading("Augmentation");
  o.augment.declare(program);
  program.text("--sheet", o.sheet, "Draw what the network would be fed, for some pictures of each class, into this PNG, and train nothing");
}

// The backbone as its weight file wants it, and the names of convolutions that the file lacks (all of them without a file).
std::unique_ptr<Classifier> make_model(const TrainOptions& o, const std::vector<std::string>& classes, Device device,
                                       std::vector<std::string>& fresh) {
  ClassifierOptions c{.backbone = {.depth = static_cast<int>(o.depth), .tensors = tensors_of_precision(o.precision, device)},
                      .classes = classes,
                      .dropout = o.dropout,
                      .seed = static_cast<uint64_t>(o.seed)};
  std::unique_ptr<StateDict> state;
  WeightConventions found;
  if (!o.weights.empty()) {
    state = std::make_unique<StateDict>(read_weights(o.weights));
    require_finite(*state, o.weights);
    found = conventions_of(*state, sha256_file_hex(o.weights), o.weights);
    log_info(o.weights, ": ", found.text());
    if (!found.known && !o.given.all())
      log_warning(o.weights, " does not say how it must be used; state it with --input, --variant and --stem-pool");
  }
  const WeightConventions chosen = o.given.over(found);
  c.input = chosen.input;
  c.backbone.variant = chosen.variant;
  c.backbone.stem_pool = chosen.stem_pool;
  auto model = std::make_unique<Classifier>(c);
  if (state) {
    fresh = load_backbone(*model, *state, o.weights);
    if (!fresh.empty()) {
      log_info(o.weights, " lacks ", fresh.size(), " convolutions: they are initialised and trained from the first phase on:");
      for (const std::string& name : fresh) log_info("  ", name);
    }
  } else {
    for (const ConvBn* u : model->backbone().units()) fresh.push_back(u->conv.name());
    log_info("no weight file: the whole backbone is initialised and trained from the first phase on");
  }
  return model;
}

// --sheet: some training pictures of each class, so that settings can be looked at before a run.
int draw_sheet(const TrainOptions& o) {
  DataSplits data = open_splits(o.data);
  std::vector<int64_t>& rows = data.rows.rows[static_cast<size_t>(Split::train)];
  std::vector<int64_t> counts(static_cast<size_t>(data.classes.size()), 0);
  for (int32_t label : class_indices(data.manifest, rows, data.classes, true)) ++counts[static_cast<size_t>(label)];
  const std::vector<AugmentPolicy> policies = o.augment.policies(counts, data.classes);
  log_info("augmentation: ", describe(policies, data.classes));
  rows = rows_of_each_class(data.manifest, rows, data.classes, 3);
  const std::unique_ptr<Dataset> pictures = data.open(Split::train, o.data, o.preprocessing, true);
  write_png(o.sheet,
            input_sheet(*pictures, data.classes, {.folder = o.data.folder, .policies = policies, .seed = static_cast<uint64_t>(o.seed)}));
  log_info("wrote ", o.sheet);
  return 0;
}

// none: 1 each; auto: images / (classes * images of the class), scikit-learn's "balanced"; else by name.
std::vector<double> class_weights(const TrainOptions& o, const ClassNames& classes, const std::vector<int64_t>& counts) {
  if (o.class_weights == std::vector<std::string>{"none"}) return classes.weights({});
  if (o.class_weights != std::vector<std::string>{"auto"}) return classes.weights(o.class_weights);
  int64_t total = 0;
  for (const int64_t n : counts) total += n;
  std::vector<double> weights;
  for (const int64_t n : counts)
    weights.push_back(static_cast<double>(total) / static_cast<double>(n * static_cast<int64_t>(counts.size())));
  for (size_t c = 0; c < weights.size(); ++c) log_info("class weight of ", classes[static_cast<int64_t>(c)], ": ", weights[c]);
  return weights;
}

void check_resumed_settings(const Program& program, const TrainOptions& o) {
  const std::filesystem::path configuration = std::filesystem::path(o.run) / "config.toml";
  program.device();  // a run does not go on on another one
  if (o.resume && std::filesystem::exists(configuration))
    require_same_settings(read_text_file(configuration, 1 << 20), program.resolved_configuration(), configuration.string());
}

// Each fold is dura-train and dura-evaluate in a folder of its own, with this command's settings and the fold's manifest. What is done
// already is not done again.
int cross_validate(const Program& program, const TrainOptions& o) {
  if (o.run.empty()) fail_usage("--out is required.");
  const StopRequest stop;
  const std::vector<std::string> common = program.child_arguments();
  const RunDirectory run(o.run, o.resume);
  check_resumed_settings(program, o);
  const DataSplits data = open_splits(o.data);
  data.require(Split::train, o.data);
  std::vector<int64_t> rows = data.rows[Split::train];
  rows.insert(rows.end(), data.rows[Split::val].begin(), data.rows[Split::val].end());
  const std::vector<Manifest> manifests = fold_manifests(data.manifest, rows, data.classes, o.folds, static_cast<uint64_t>(o.seed));
  log_info(rows.size(), " training and validation images in ", o.folds, " parts; ", data.rows[Split::test].size(), " test images stay out");
  run.write("config.toml", program.resolved_configuration());
  run.write_provenance({{"manifest", data.manifest.name}, {"manifest_sha256", data.manifest_sha256}, {"folds", std::to_string(o.folds)}});

  std::vector<FoldFile> evaluations;
  for (size_t f = 0; f < manifests.size(); ++f) {
    const std::filesystem::path folder = run.path() / concat("fold", f + 1), log = folder / "log.txt", model = folder / "model.safetensors";
    std::filesystem::create_directories(folder);
    write_manifest((folder / "manifest.csv").string(), manifests[f]);
    const auto done = [&](const char* name, const std::vector<std::string>& arguments) {
      log_info("fold ", f + 1, "/", o.folds, ": ", name, ", log in ", log.string());
      const int code = run_child_program(program_folder() / name, arguments, log, stop);
      DURA_CHECK(code == 0 || stop.received(), name, " ended with exit code ", code, "; why is in ", log.string(),
                 ". Put it right and go on with --resume.");
      return !stop.received();
    };
    std::vector<std::string> train = {"--config",   (run.path() / "config.toml").string(), "--folds", "0",
                                      "--manifest", (folder / "manifest.csv").string(),    "--out",   folder.string()};
    if (std::filesystem::exists(folder / "run.json")) train.push_back("--resume");
    std::vector<std::string> evaluate = {
        "--data", o.data.folder,   "--manifest",  (folder / "manifest.csv").string(), "--model",     model.string(),
        "--out",  folder.string(), "--allow-bad", concat(o.data.allowed_bad_share),   "--precision", o.precision};
    evaluate.insert(evaluate.end(), common.begin(), common.end());
    if (o.data.allow_leak) evaluate.push_back("--allow-leak");
    for (const auto& [option, values] : {std::pair{"--column", o.data.columns}, {"--classes", o.data.classes}}) {
      if (values.empty()) continue;
      evaluate.push_back(option);
      evaluate.insert(evaluate.end(), values.begin(), values.end());
    }
    if ((!std::filesystem::exists(model) && !done("dura-train", train)) ||
        (!std::filesystem::exists(folder / "evaluation_test.json") && !done("dura-evaluate", evaluate))) {
      log_warning("interrupted. Go on with the same command and --resume.");
      return stop.exit_code();
    }
    evaluations.push_back(
        {(folder / "evaluation_test.json").string(), read_text_file(folder / "evaluation_test.json", uint64_t{64} << 20)});
  }
  const FoldSummary summary = summarise_folds(evaluations);
  log_info("scores of ", o.folds, " folds, each on pictures of patients that its model has not seen:\n", fold_summary_text(summary));
  run.write("folds.json", fold_summary_json(summary));
  return 0;
}

int train(const Program& program, const TrainOptions& o) {
  if (o.run.empty()) fail_usage("--out is required.");
  cpu::set_exact_conv(o.exact);
  if (o.phase1_epochs + o.phase2_epochs == 0) fail_usage("--phase1-epochs and --phase2-epochs are both 0: there is nothing to do");
  const StopRequest stop;
  RunDirectory run(o.run, o.resume);
  check_resumed_settings(program, o);
  const DataSplits data = open_splits(o.data);
  const std::unique_ptr<Dataset> training = data.open(Split::train, o.data, o.preprocessing, true),
                                 validation = data.open(Split::val, o.data, o.preprocessing, true);
  for (int64_t c = 0; c < data.classes.size(); ++c)
    log_info("class ", c, " ", data.classes[c], ": ", training->class_counts()[static_cast<size_t>(c)], " training images, ",
             validation->class_counts()[static_cast<size_t>(c)], " validation images");

  std::vector<std::string> fresh;
  const std::unique_ptr<Classifier> model = make_model(o, data.classes.names(), program.device(), fresh);
  FitOptions fit_options{.run = o.run,
                         .phases = {},
                         .batch = o.batch,
                         .loss = {},
                         .adam = o.optimizer.adam(),
                         .scaler = {.enabled = o.precision == "f16"},
                         .augment = o.augment.policies(training->class_counts(), data.classes),
                         .items = o.augment.items(*training, data.classes, static_cast<uint64_t>(o.seed)),
                         .seed = static_cast<uint64_t>(o.seed),
                         .resume = o.resume,
                         .capture = !o.no_capture};
  log_info("augmentation: ", describe(fit_options.augment, data.classes));
  fit_options.loss.class_weights = class_weights(o, data.classes, training->class_counts());
  fit_options.loss.cross_entropy = o.optimizer.cross_entropy();
  fit_options.feature_budget = o.feature_mib < 0 ? default_feature_budget() : static_cast<size_t>(o.feature_mib) << 20;
  fit_options.phases = {{.name = "phase1",
                         .epochs = o.phase1_epochs,
                         .learning_rate = o.phase1_lr,
                         .schedule = o.optimizer.schedule_of(1, o.monitor),
                         .unfreeze = "none",
                         .fresh_batch_statistics = true,
                         .early_stopping = {.monitor = o.monitor},
                         .restore_best = o.restore == "best"},
                        {.name = "phase2",
                         .epochs = o.phase2_epochs,
                         .learning_rate = o.phase2_lr,
                         .schedule = o.optimizer.schedule_of(o.optimizer.phase2_decay, o.monitor),
                         .unfreeze = o.unfreeze,
                         .early_stopping = {.monitor = o.monitor, .patience = o.patience},
                         .restore_best = o.restore == "best"}};

  // What phases would find out late, at the end of their first epoch or when phase 2 begins.
  EpochRecord probe;
  probe.val = Confusion(data.classes.size());
  probe.value(o.monitor, data.classes.names());
  for (const PhasePlan& plan : fit_options.phases)
    if (plan.epochs > 0) Schedule(plan.schedule, plan.learning_rate, plan.epochs);
  model->unfreeze(o.unfreeze);

  if (o.find_lr != "off") {
    const LrSweep sweep =
        sweep_learning_rates(*model, fit_options.phases[o.find_lr == "phase1" ? 0 : 1], fresh, *training, fit_options, {}, stop);
    if (sweep.interrupted) return stop.exit_code();
    write_lr_finder(o.run, o.find_lr, sweep);
    log_info(lr_finder_text(sweep));
    log_info("wrote ", (run.path() / "lr_finder.html").string(), ", lr_finder.csv and lr_finder.json beside it; nothing was trained");
    return 0;
  }
  run.write("config.toml", program.resolved_configuration());
  run.write_provenance({{"manifest", data.manifest.name},
                        {"manifest_sha256", data.manifest_sha256},
                        {"weights", o.weights},
                        {"weights_sha256", o.weights.empty() ? "" : sha256_file_hex(o.weights)},
                        {"augmentation", describe(fit_options.augment, data.classes)},
                        {"epoch_images", std::to_string(fit_options.items.size())},
                        {"device", device_name(program.device())},
                        {"kernels", cpu::kernels().name}},
                       data.allowed_leaks);
  const FitOutcome outcome = fit(*model, fresh, *training, *validation, fit_options, stop);
  // Not model.safetensors, which says that the run is done.
  const std::filesystem::path so_far = std::filesystem::path(o.run) / "interrupted.safetensors";
  if (outcome.interrupted) {
    if (outcome.best_restored) {
      write_model(so_far, *model, o.preprocessing);
      log_info("wrote ", so_far.string(), ": the best weights so far");
    }
    log_warning("interrupted. Go on with the same command and --resume.");
    return stop.exit_code();
  }
  const std::filesystem::path file = std::filesystem::path(o.run) / "model.safetensors";
  write_model(file, *model, o.preprocessing);
  std::filesystem::remove(so_far);
  log_info("wrote ", file.string());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  TrainOptions options;
  Program program(
      {.name = "dura-train",
       .summary = "Trains a classifier by transfer learning in two phases.",
       .examples = {
           "dura-train --data brain --classes Menin=meningioma Glioma --weights resnet50.safetensors --class-weight Menin=4 Glioma=1 "
           "--augment mission --out run",
           "dura-train --data brain --augment mission --augment-class Menin=rotation=30,zoom=0.8:1.2 --oversample 0.5 --sheet sheet.png",
           "dura-train --config run/config.toml --resume"}});
  declare(program, options);
  return program.run(argc, argv, [&] {
    if (!options.sheet.empty()) return draw_sheet(options);
    return options.folds > 0 ? cross_validate(program, options) : train(program, options);
  });
}
