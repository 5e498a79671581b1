// dura-train: transfer learning in two phases. Phase 1 trains the head on the frozen backbone (and whatever of the backbone had no
// weights), phase 2 the last part of the backbone too, with a small learning rate and early stopping.
#include "apps/evaluation/model_card.h"
#include "apps/program/processes.h"
#include "apps/program/run_directory.h"
#include "apps/report/picture_sheets.h"
#include "apps/study/cross_validation.h"
#include "apps/study/lr_finder.h"
#include "apps/training/train_options.h"
#include "data/image/codec.h"
#include "engine/base/log.h"
#include "engine/cpu/cpu_features.h"

namespace {

using namespace dura;

// --sheet: some training pictures of each class, so that settings can be looked at before a run.
int draw_sheet(const TrainOptions& o) {
  DataSplits data = open_splits(o.data);
  const std::vector<AugmentPolicy> policies = o.augment.policies(data.class_counts(Split::train, true), data.classes);
  log_info("augmentation: ", describe(policies, data.classes));
  std::vector<int64_t>& rows = data.rows.rows[static_cast<size_t>(Split::train)];
  rows = rows_of_each_class(data.manifest, rows, data.classes, 3);
  const std::unique_ptr<Dataset> pictures = data.open(Split::train, o.data, o.preprocessing, true);
  write_png(o.sheet,
            input_sheet(*pictures, data.classes, {.folder = o.data.folder, .policies = policies, .seed = static_cast<uint64_t>(o.seed)}));
  log_info("wrote ", o.sheet);
  return 0;
}

// --find-lr
int find_learning_rate(const TrainOptions& o, InitialModel& initial, const Dataset& training, const FitOptions& fit_options,
                       const StopRequest& stop) {
  const PhasePlan& phase = fit_options.phases[o.find_lr == "phase1" ? 0 : 1];
  const LrSweep sweep = sweep_learning_rates(*initial.model, phase, initial.fresh, training, fit_options, {}, stop);
  if (sweep.interrupted) return stop.exit_code();
  if (!fit_options.step.ranks->is_first()) return 0;
  write_lr_finder(o.out, o.find_lr, sweep);
  log_info(lr_finder_text(sweep));
  log_info("wrote ", (fit_options.run / "lr_finder.html").string(), ", lr_finder.csv and lr_finder.json beside it; nothing was trained");
  return 0;
}

// model.safetensors says that the run is done; what an interrupted one has so far is interrupted.safetensors. `run`: of rank 0.
int finish(const std::optional<RunDirectory>& run, const FitOutcome& outcome, Classifier& model, const TrainOptions& o,
           const DataSplits& data, const StopRequest& stop) {
  if (!run) return outcome.interrupted ? stop.exit_code() : 0;
  const std::filesystem::path file = run->path() / "model.safetensors", so_far = run->path() / "interrupted.safetensors";
  if (outcome.interrupted) {
    if (outcome.best_restored) {
      write_model(so_far, model, o.preprocessing, training_card(o, data));
      log_info("wrote ", so_far.string(), ": the best weights so far");
    }
    log_warning("interrupted. Go on with the same command and --resume.");
    return stop.exit_code();
  }
  write_model(file, model, o.preprocessing, training_card(o, data));
  std::filesystem::remove(so_far);
  log_info("wrote ", file.string());
  return 0;
}

int train(const Program& program, const TrainOptions& o, Communicator& ranks) {
  cpu::set_exact_conv(o.exact);
  if (o.phase1_epochs + o.phase2_epochs == 0) fail_usage("--phase1-epochs and --phase2-epochs are both 0: there is nothing to do");
  std::optional<RunDirectory> run;
  if (ranks.is_first()) run.emplace(o.out, o.resume);
  if (o.resume && run) require_same_settings(run->path(), program);
  const DataSplits data = open_splits(o.data, {}, ranks);
  // Before pictures are divided: with another manifest, each would check others.
  const std::map<std::string, std::string> own_facts = facts_of(program, data.manifest_sha256, {o.weights});
  require_agreement(ranks, own_facts);
  const std::unique_ptr<Dataset> training = data.open(Split::train, o.data, o.preprocessing, true, ranks),
                                 validation = data.open(Split::val, o.data, o.preprocessing, true, ranks);
  for (int64_t c = 0; c < data.classes.size(); ++c)
    log_info("class ", c, " ", data.classes[c], ": ", training->class_counts()[static_cast<size_t>(c)], " training images, ",
             validation->class_counts()[static_cast<size_t>(c)], " validation images");

  InitialModel initial = initial_model(o, data.classes.names(), program.device());
  FitOptions fit_options = o.fit_options(*training, data.classes);
  fit_options.step.ranks = &ranks;
  if (o.feature_mib < 0) fit_options.feature_budget /= static_cast<size_t>(ranks.ranks_on_own_host());
  if (ranks.size() > 1 && o.lanes % ranks.size() != 0)
    fail_usage("--lanes ", o.lanes, " cannot be shared by ", ranks.size(), " processes: their number must divide it");
  require_lesions(*training, *validation, fit_options);
  initial.model->unfreeze(o.unfreeze);  // a name that it does not know is found out now, not when phase 2 begins

  const std::map<std::string, std::string> facts = {{"manifest", data.manifest.name},
                                                    {"manifest_sha256", data.manifest_sha256},
                                                    {"weights", o.weights},
                                                    {"weights_sha256", o.weights.empty() ? "" : own_facts.at("SHA-256 of " + o.weights)},
                                                    {"augmentation", describe(fit_options.augment, data.classes)},
                                                    {"epoch_images", std::to_string(fit_options.items.size())},
                                                    {"device", device_name(program.device())},
                                                    {"kernels", cpu::kernels().name}};
  require_agreement(ranks, {{"training images", concat(training->size(), ", ", training->bad_images().size(), " bad")},
                            {"validation images", concat(validation->size(), ", ", validation->bad_images().size(), " bad")},
                            {"augmentation", facts.at("augmentation")},
                            {"epoch_images", facts.at("epoch_images")}});
  // Until here a signal ends the process at once, in the middle of pictures that are checked: there is nothing to save.
  const StopRequest stop;
  if (o.find_lr != "off") return find_learning_rate(o, initial, *training, fit_options, stop);

  if (run) {
    run->write("config.toml", program.resolved_configuration());
    run->write_provenance(facts, data.allowed_leaks);
  }
  const FitOutcome outcome = fit(*initial.model, initial.fresh, *training, *validation, fit_options, stop);
  return finish(run, outcome, *initial.model, o, data, stop);
}

}  // namespace

int main(int argc, char** argv) {
  TrainOptions options;
  Program program(
      {.name = "dura-train",
       .summary = "Trains a classifier by transfer learning in two phases.",
       .examples =
           {"dura-train --data brain --classes Menin=meningioma Glioma --weights resnet50.safetensors --class-weight Menin=4 Glioma=1 "
            "--augment mission --out run",
            "dura-train --data brain --augment mission --augment-class Menin=rotation=30,zoom=0.8:1.2 --oversample 0.5 --sheet sheet.png",
            "dura-train --config run/config.toml --resume"},
       .shares_work = true});
  options.declare(program);
  return program.run(argc, argv, [&] {
    if (!options.sheet.empty()) return draw_sheet(options);
    if (options.out.empty()) fail_usage("--out is required.");
    return run_on_all(program, [&](Communicator& ranks) {
      return options.folds > 0 ? cross_validate(program, options, ranks) : train(program, options, ranks);
    });
  });
}
