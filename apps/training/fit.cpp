#include "apps/training/fit.h"

#include <iomanip>
#include <optional>

#include "apps/training/training_state.h"
#include "engine/base/log.h"
#include "weights/load.h"
#include "weights/safetensors.h"

namespace dura {

FitOutcome fit(Classifier& model, const std::vector<std::string>& fresh, const Dataset& train, const Dataset& val,
               const FitOptions& options, const StopRequest& stop) {
  FitOutcome outcome;
  const std::filesystem::path last = options.run / "last.safetensors";
  std::optional<TrainingState> saved;  // where to go on; empty once the run has gone on from there
  if (options.resume && std::filesystem::exists(last)) {
    saved = read_training_state(last);
    log_info("resuming after ", saved->phase, " epoch ", saved->epoch + 1);
  }
  int64_t rows = saved ? saved->history_rows : 0, planned_before = 0;
  History history(options.run / "history.csv", model.classes(), rows);
  std::filesystem::path best;  // the weights to be left with where the next phase has none that are better
  const auto load_best = [&] { load_state(model, read_safetensors(best), Strict::yes, best.string()); };

  for (const PhasePlan& plan : options.phases) {
    const std::filesystem::path best_of_phase = options.run / concat("best_", plan.name, ".safetensors");
    const bool resumed = saved && saved->phase == plan.name, done = saved && !resumed;
    if (done && std::filesystem::exists(best_of_phase)) best = best_of_phase;
    if (plan.epochs == 0 || done) {
      planned_before += plan.epochs;
      continue;
    }
    if (resumed) restore_model(model, *saved, last.string());
    Phase phase(model, plan, fresh, train, val, options);
    Schedule schedule(plan.schedule, plan.learning_rate, plan.epochs);
    EarlyStopping stopping(plan.early_stopping);
    int64_t epoch = 0;
    if (resumed) {
      restore_optimizer(phase.adam(), *saved, last.string());
      stopping.restore(saved->early_stopping);
      schedule.restore(saved->schedule);
      epoch = saved->epoch + 1;
      saved.reset();
    }
    log_info(plan.name, ": Adam, learning rate ", plan.learning_rate, ", ", model.trainable_numel(), " parameters free, moments ",
             resumed ? "restored" : "reset");
    for (; epoch < plan.epochs && !stopping.should_stop(); ++epoch) {
      EpochRecord record{.phase = plan.name, .epoch = epoch};
      if (!phase.train_epoch(planned_before + epoch, schedule, record, stop)) {
        if (stopping.best_epoch() >= 0) best = best_of_phase;
        outcome.interrupted = true;
        outcome.best_restored = !best.empty();
        if (outcome.best_restored) load_best();
        return outcome;
      }
      phase.validate(record);
      const bool improved = stopping.update(epoch, record.value(plan.early_stopping.monitor, model.classes()));
      if (improved) write_safetensors(best_of_phase, state_of(model));
      if (plan.schedule.kind == ScheduleOptions::Kind::plateau &&
          schedule.epoch_done(epoch, record.value(plan.schedule.plateau.monitor, model.classes())))
        log_info(plan.name, ": no improvement of ", plan.schedule.plateau.monitor, " for ", plan.schedule.plateau.patience,
                 " epochs, learning rate times ", plan.schedule.plateau_factor);
      history.add(record);
      write_training_state(last, model, phase.adam(),
                           {.phase = plan.name,
                            .epoch = epoch,
                            .history_rows = ++rows,
                            .early_stopping = stopping.state(),
                            .schedule = schedule.state(),
                            .arrays = {}});
      phase.log_epoch(record, improved);
    }
    phase.log_memory();
    if (stopping.should_stop())
      log_info(plan.name, ": no improvement of ", stopping.monitor(), " for ", plan.early_stopping.patience, " epochs, stopped early");
    if (stopping.best_epoch() >= 0) best = best_of_phase;
    if (!plan.restore_best) {
      log_info(plan.name, ": weights of the last epoch, ", epoch, ", kept");
    } else if (stopping.best_epoch() >= 0) {
      load_best();
      log_info(plan.name, ": weights of epoch ", stopping.best_epoch() + 1, " restored (", stopping.monitor(), " ", std::fixed,
               std::setprecision(3), stopping.best(), ")");
    }
    outcome.best_epoch.push_back(stopping.best_epoch());
    planned_before += plan.epochs;
  }
  // Otherwise the model would be left untrained without a word.
  DURA_CHECK(!saved, last.string(), ": the checkpoint is of the phase '", saved ? saved->phase : "",
             "', which has no epochs now. Resume with the settings of the run.");
  model.set_training(false);
  return outcome;
}

}  // namespace dura
