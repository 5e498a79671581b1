#include "apps/training/train_options.h"

#include <bit>
#include <numeric>

#include "apps/program/program.h"
#include "apps/training/history.h"
#include "engine/base/check.h"
#include "engine/base/log.h"
#include "engine/base/sha256.h"
#include "weights/pth.h"

namespace dura {

void OptimizerOptions::declare(OptionSet& options) {
  options.text("--schedule", schedule,
               "How the learning rate goes in each phase: decay (by --phase2-decay), cosine (to 0, by the step), plateau (smaller where "
               "--monitor no longer improves)",
               {.choices = {"decay", "cosine", "plateau"}});
  options.number("--phase2-decay", phase2_decay, "decay: factor on phase 2's learning rate after each epoch; 1: constant",
                 {.min = 0, .max = 1, .above_min = true});
  options.integer("--warmup-epochs", warmup_epochs, "cosine: epochs of each phase in which the learning rate rises from 0",
                  {.min = 0, .max = 100000});
  options.number("--plateau-factor", plateau_factor, "plateau: factor on the learning rate", {.min = 0, .max = 1, .above_min = true});
  options.integer("--plateau-patience", plateau_patience, "plateau: epochs without improvement before it", {.min = 1, .max = 100000});
  options.text("--class-weight-norm", class_weight_norm,
               "Weighted loss divided by the batch size (Keras) or by the sum of weights (PyTorch)", {.choices = {"batch", "weights"}});
  options.number("--label-smoothing", label_smoothing, "Share of the target that is spread over all classes, 0.1 is usual; 0: none",
                 {.min = 0, .max = 0.99});
  options.number("--adam-eps", eps, "Adam's epsilon", {.min = 0, .above_min = true});
  options.number("--clip-norm", clip_norm, "Gradients that are longer, all together, are shortened to this norm; 0: never", {.min = 0});
  options.number("--weight-decay", weight_decay,
                 "AdamW: filters and dense weights also shrink by this share of themselves times the learning rate; 0.01 is usual",
                 {.min = 0});
  options.text("--adam-eps-form", eps_form, "Where epsilon is added", {.choices = {"keras", "torch"}});
}

CrossEntropyOptions OptimizerOptions::cross_entropy() const {
  return {.norm = class_weight_norm == "batch" ? ClassWeightNorm::sum_over_batch : ClassWeightNorm::sum_of_weights,
          .label_smoothing = label_smoothing};
}

ScheduleOptions OptimizerOptions::schedule_of(double decay, const std::string& monitor) const {
  using Kind = ScheduleOptions::Kind;
  const Kind kind = schedule == "decay" ? Kind::decay : schedule == "cosine" ? Kind::cosine : Kind::plateau;
  if (kind != Kind::decay && phase2_decay != 1) fail_usage("--phase2-decay belongs to --schedule decay, not to ", schedule);
  if (kind != Kind::cosine && warmup_epochs > 0) fail_usage("--warmup-epochs belongs to --schedule cosine, not to ", schedule);
  return {.kind = kind,
          .decay = decay,
          .warmup_epochs = warmup_epochs,
          .plateau_factor = plateau_factor,
          .plateau = {.monitor = monitor, .min_delta = 1e-4, .patience = plateau_patience}};  // the delta of Keras
}

AdamOptions OptimizerOptions::adam() const {
  return {.eps = eps,
          .eps_form = eps_form == "keras" ? AdamEpsForm::keras : AdamEpsForm::torch,
          .clip_norm = clip_norm,
          .weight_decay = weight_decay};
}

namespace {

// none: 1 each; auto: images / (classes * images of the class), scikit-learn's "balanced"; else by name.
std::vector<double> weights_of_classes(const std::vector<std::string>& given, const ClassNames& classes,
                                       const std::vector<int64_t>& counts) {
  if (given == std::vector<std::string>{"none"}) return classes.weights({});
  if (given != std::vector<std::string>{"auto"}) return classes.weights(given);
  const int64_t total = std::accumulate(counts.begin(), counts.end(), int64_t{0});
  std::vector<double> weights;
  for (const int64_t n : counts)
    weights.push_back(static_cast<double>(total) / static_cast<double>(n * static_cast<int64_t>(counts.size())));
  for (size_t c = 0; c < weights.size(); ++c) log_info("class weight of ", classes[static_cast<int64_t>(c)], ": ", weights[c]);
  return weights;
}

}  // namespace

void TrainOptions::declare(OptionSet& options) {
  data.declare(options);
  dura::declare(options, preprocessing);
  options.heading("Network");
  options.text("--weights", weights,
               "ImageNet weights of the backbone (.safetensors or .pth), or a model of dura-train; without, it is initialised and trained "
               "from the first phase on");
  card.declare(options);
  options.integer("--depth", depth, "ResNet-18, 34, 50 or 101");
  dura::declare(options, given);
  options.number("--dropout", dropout, "Share that is dropped before the dense layer", {.min = 0, .max = 0.99});
  options.heading("Training");
  options.text("--out", out, "Run directory (required, except with --sheet)");
  options.flag("--resume", resume, "Go on with an interrupted run in --out");
  options.integer(
      "--folds", folds,
      "Cross-validation: so many runs on parts divided by patient, in fold1, fold2, ... of --out; 0: one run on the manifest's split",
      {.min = 0, .max = 100});
  options.integer("--batch", batch, "Images in a step", {.min = 1, .max = 4096});
  options.integer("--lanes", lanes,
                  "Equal parts of a batch, a power of two, whose gradients are added in a fixed order: a large batch in the memory of one "
                  "part, or shared by the processes of mpirun",
                  {.min = 1, .max = 4096});
  options.integer("--comm-bucket", bucket_kib,
                  "KiB of gradients that processes exchange at a time, while backward goes on; 0: all of them behind it",
                  {.min = 0, .max = 1 << 24});
  options.text(
      "--device-sums", device_sums,
      "How the processes' cards add gradients: exact, linked by NCCL in the order of the lanes; fast, by NCCL in any order, so that "
      "the bytes of a run depend on the number of processes; host, through host memory, which is also what happens where cards "
      "cannot be linked",
      {.choices = {"exact", "fast", "host"}});
  options.integer("--phase1-epochs", phase1_epochs, "Epochs with the backbone frozen", {.min = 0, .max = 100000});
  options.number("--phase1-lr", phase1_lr, "Learning rate of phase 1", {.min = 0});
  options.integer("--phase2-epochs", phase2_epochs, "Epochs with its last part free, at most", {.min = 0, .max = 100000});
  options.number("--phase2-lr", phase2_lr, "Learning rate of phase 2", {.min = 0});
  options.text("--unfreeze", unfreeze,
               "What phase 2 frees: keras50 (the last half of Keras' layers), layer3+, layer3.3+, layer4, 50%convs, all, none");
  options.integer("--patience", patience, "Phase 2 stops after so many epochs without improvement; 0: never", {.min = 0, .max = 100000});
  options.text("--monitor", monitor,
               "What early stopping watches: val_loss, val_auc, val_f1 (mean over classes), val_f1_CLASS, ...; with "
               "--guide also val_hit and val_energy");
  options.text("--restore", restore, "Weights that a phase ends with: of its best epoch by --monitor, or of its last",
               {.choices = {"best", "last"}});
  options.integer("--average-from", average_from,
                  "Phase 2 ends with the mean of its weights after this epoch and each later one (SWA, Izmailov et al. 2018), whatever "
                  "--restore says; 0: no mean",
                  {.min = 0, .max = 100000});
  options.list("--class-weight", class_weights,
               "Weights of classes by name: Menin=4 Glioma=1; none; auto: balanced by the number of training images");
  options.text("--precision", precision,
               "Type that activations, gradients and working copies of weights are stored in; arithmetic and master weights are f32. f16 "
               "scales the loss; tf32: f32, but a card may round factors to TF32",
               {.choices = {"f32", "tf32", "f16", "bf16"}});
  options.number("--guide", guide.strength,
                 "Where masks of lesions are known, the loss also has this much times the share of layer4's evidence that lies outside of "
                 "the lesion (Rao et al. 2023); 2 is a good start, with --phase2-lr 2e-4; 0: none",
                 {.min = 0, .max = 1000});
  options.text("--guide-phases", guide_phases, "Where --guide acts; on a frozen backbone it has the dense layer alone to move",
               {.choices = {"phase2", "both"}});
  options.number("--guide-share", guide.share, "A cell of the map counts as lesion where more than this share of it is",
                 {.min = 0, .max = 0.99});
  options.text("--guide-cells", guide_cells, "Where the map's cells lie in the picture: as dura-gradcam's --cells",
               {.choices = {"shares", "receptive-fields"}});
  optimizer.declare(options);
  options.integer("--seed", seed, "Of everything random", {.min = 0});
  options.integer("--feature-budget", feature_mib,
                  "MiB for features of the frozen part; 0: none; -1: a quarter of the memory, divided by the processes on a machine",
                  {.min = -1});
  options.flag("--exact-conv", exact, "No Winograd convolutions");
  options.flag("--no-capture", no_capture, "CUDA: start the kernels of each step one by one instead of replaying a captured step");
  options.text(
      "--find-lr", find_lr,
      "Sweep the learning rate over what phase1 or phase2 trains, write lr_finder.html, .csv and .json into --out, and train nothing",
      {.choices = {"off", "phase1", "phase2"}});
  options.heading("Augmentation");
  augment.declare(options);
  options.text("--augment-on", augment_on,
               "CUDA: who augments pictures, the device (they go up once) or the host; the bytes are the same. Elsewhere always the host",
               {.choices = {"device", "host"}});
  options.integer(
      "--device-pictures", device_picture_mib,
      "CUDA: MiB of the device's memory for pictures that stay there, the others go up with each batch; -1: half of what is left",
      {.min = -1, .max = 1 << 30});
  options.text("--sheet", sheet, "Draw what the network would be fed, for some pictures of each class, into this PNG, and train nothing");
}

FitOptions TrainOptions::fit_options(const Dataset& training, const ClassNames& classes) const {
  if (!std::has_single_bit(static_cast<uint64_t>(lanes)) || batch % lanes != 0)
    fail_usage("--lanes ", lanes, ": a power of two that divides --batch ", batch, " is expected");
  FitOptions fit{.run = out,
                 .phases = {},
                 .batch = batch,
                 .step = {.lanes = lanes,
                          .capture = !no_capture,
                          .bucket_bytes = bucket_kib << 10,
                          .device_sums = device_sums == "host"   ? DeviceSums::host
                                         : device_sums == "fast" ? DeviceSums::fast
                                                                 : DeviceSums::exact},
                 .loss = {},
                 .adam = optimizer.adam(),
                 .scaler = {.enabled = precision == "f16"},
                 .augment = augment.policies(training.class_counts(), classes),
                 .augment_repeat = augment.repeat,
                 .items = augment.items(training, classes, static_cast<uint64_t>(seed)),
                 .feature_budget = feature_mib < 0 ? default_feature_budget() : static_cast<size_t>(feature_mib) << 20,
                 .seed = static_cast<uint64_t>(seed),
                 .resume = resume,
                 .device_augments = augment_on == "device",
                 .device_picture_bytes = device_picture_mib < 0 ? -1 : device_picture_mib << 20};
  log_info("augmentation: ", describe(fit.augment, classes));
  fit.loss = {.class_weights = weights_of_classes(class_weights, classes, training.class_counts()),
              .cross_entropy = optimizer.cross_entropy()};
  fit.guide = guide;
  fit.guide.by_receptive_field = guide_cells == "receptive-fields";
  fit.phases = {{.name = "phase1",
                 .epochs = phase1_epochs,
                 .learning_rate = phase1_lr,
                 .schedule = optimizer.schedule_of(1, monitor),
                 .unfreeze = "none",
                 .fresh_batch_statistics = true,
                 .early_stopping = {.monitor = monitor},
                 .guided = guide_phases == "both",
                 .restore_best = restore == "best"},
                {.name = "phase2",
                 .epochs = phase2_epochs,
                 .learning_rate = phase2_lr,
                 .schedule = optimizer.schedule_of(optimizer.phase2_decay, monitor),
                 .unfreeze = unfreeze,
                 .early_stopping = {.monitor = monitor, .patience = patience},
                 .restore_best = restore == "best",
                 .average_from = average_from}};
  if (average_from > phase2_epochs)
    fail_usage("--average-from ", average_from, ": phase 2 has ", phase2_epochs, " epochs; one of them is expected");
  EpochRecord probe;
  probe.val = Confusion(classes.size());
  if (guide.on()) probe.guide.emplace();
  if (!guide.on() && watches_maps(monitor))
    fail_usage("--monitor ", monitor, " needs --guide: only then are heat maps scored in validation");
  probe.value(monitor, classes.names());
  for (const PhasePlan& plan : fit.phases)
    if (plan.epochs > 0) Schedule(plan.schedule, plan.learning_rate, plan.epochs);
  return fit;
}

InitialModel initial_model(const TrainOptions& o, const std::vector<std::string>& classes, Device device) {
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
  InitialModel made{.model = std::make_unique<Classifier>(c), .fresh = {}};
  std::vector<std::string>& fresh = made.fresh;
  if (state) {
    fresh = load_backbone(*made.model, *state, o.weights);
    if (!fresh.empty()) {
      log_info(o.weights, " lacks ", fresh.size(), " convolutions: they are initialised and trained from the first phase on:");
      for (const std::string& name : fresh) log_info("  ", name);
    }
  } else {
    for (const ConvBn* u : made.model->backbone().units()) fresh.push_back(u->conv.name());
    log_info("no weight file: the whole backbone is initialised and trained from the first phase on");
  }
  return made;
}

}  // namespace dura
