#include "apps/training/fit.h"

#include <iomanip>
#include <memory>
#include <optional>

#include "apps/training/training_state.h"
#include "engine/base/file.h"
#include "engine/base/log.h"
#include "weights/load.h"
#include "weights/safetensors.h"

namespace dura {
namespace {

bool exists_for_first(const std::filesystem::path& file, Communicator& ranks) {
  return ranks.largest(ranks.is_first() && std::filesystem::exists(file) ? 1 : 0) != 0;
}

StateDict read_for_all(const std::filesystem::path& file, Communicator& ranks) {
  if (ranks.size() == 1) return read_safetensors(file);
  const std::string bytes = ranks.broadcast(ranks.is_first() ? read_text_file(file, max_weight_file_bytes) : std::string());
  return parse_safetensors(std::make_shared<const std::vector<uint8_t>>(bytes.begin(), bytes.end()), file.string());
}

}  // namespace

void require_lesions(const Dataset& train, const Dataset& val, const FitOptions& options) {
  if (!options.guide.on()) return;
  const int64_t lesions = count_lesions(train, *options.step.ranks), to_score = count_lesions(val, *options.step.ranks);
  log_info("guide: ", lesions, " of ", train.size(), " training images and ", to_score, " of ", val.size(),
           " validation images have a lesion's mask");
  if (lesions == 0) fail_usage("--guide needs masks of lesions: no training image has one. The manifest's column `mask` names them.");
  for (const PhasePlan& plan : options.phases)
    if (to_score == 0 && watches_maps(plan.early_stopping.monitor))
      fail_usage("--monitor ", plan.early_stopping.monitor, ": no validation image has a lesion's mask");
}

FitOutcome fit(Classifier& model, const std::vector<std::string>& fresh, const Dataset& train, const Dataset& val,
               const FitOptions& options, const StopRequest& stop) {
  FitOutcome outcome;
  const std::filesystem::path last = options.run / "last.safetensors";
  std::optional<TrainingState> saved;  // where to go on; empty once the run has gone on from there
  Communicator& ranks = *options.step.ranks;
  if (options.resume && exists_for_first(last, ranks)) {
    saved = training_state_of(read_for_all(last, ranks), last.string());
    log_info("resuming after ", saved->phase, " epoch ", saved->epoch + 1);
  }
  int64_t rows = saved ? saved->history_rows : 0, planned_before = 0;
  std::optional<History> history;
  if (ranks.is_first()) history.emplace(options.run / "history.csv", model.classes(), options.guide.on(), rows);
  std::filesystem::path best;  // the weights to be left with where the next phase has none that are better
  const auto load_best = [&] { load_state(model, read_for_all(best, ranks), Strict::yes, best.string()); };

  // Outlives what is thrown: a step that goes while an exception passes gives up the other processes.
  std::unique_ptr<Phase> at_work;
  try {
    for (const PhasePlan& plan : options.phases) {
      const std::filesystem::path best_of_phase = options.run / concat("best_", plan.name, ".safetensors");
      const bool resumed = saved && saved->phase == plan.name, done = saved && !resumed;
      if (done && exists_for_first(best_of_phase, ranks)) best = best_of_phase;
      if (plan.epochs == 0 || done) {
        planned_before += plan.epochs;
        continue;
      }
      EarlyStopping stopping(plan.early_stopping);
      if (resumed) {
        restore_model(model, *saved, last.string());
        stopping.restore(saved->early_stopping);
        if (stopping.best_epoch() >= 0) best = best_of_phase;
      }
      at_work.reset();
      at_work = std::make_unique<Phase>(model, plan, fresh, train, val, options, stop);
      Phase& phase = *at_work;
      Schedule schedule(plan.schedule, plan.learning_rate, plan.epochs);
      WeightAverage average;
      int64_t epoch = 0;
      if (resumed) {
        restore_optimizer(phase.adam(), *saved, last.string());
        schedule.restore(saved->schedule);
        average = saved->average;
        epoch = saved->epoch + 1;
        saved.reset();
      }
      log_info(plan.name, ": Adam, learning rate ", plan.learning_rate, ", ", model.trainable_numel(), " parameters free, moments ",
               resumed ? "restored" : "reset");
      for (; epoch < plan.epochs && !stopping.should_stop(); ++epoch) {
        EpochRecord record{.phase = plan.name, .epoch = epoch};
        if (options.guide.on()) record.guide.emplace();
        phase.train_epoch(planned_before + epoch, schedule, record);
        phase.validate(record);
        const bool improved = stopping.update(epoch, record.value(plan.early_stopping.monitor, model.classes()));
        if (improved) best = best_of_phase;
        if (improved && history) write_safetensors(best_of_phase, state_of(model));
        if (plan.schedule.kind == ScheduleOptions::Kind::plateau &&
            schedule.epoch_done(epoch, record.value(plan.schedule.plateau.monitor, model.classes())))
          log_info(plan.name, ": no improvement of ", plan.schedule.plateau.monitor, " for ", plan.schedule.plateau.patience,
                   " epochs, learning rate times ", plan.schedule.plateau_factor);
        if (plan.average_from > 0 && epoch + 1 >= plan.average_from) average.add(state_of(model));
        ++rows;
        if (history) {
          history->add(record);
          write_training_state(last, model, phase.adam(),
                               {.phase = plan.name,
                                .epoch = epoch,
                                .history_rows = rows,
                                .early_stopping = stopping.state(),
                                .schedule = schedule.state(),
                                .average = average,
                                .arrays = {}});
        }
        phase.log_epoch(record, improved);
      }
      phase.log_memory();
      if (stopping.should_stop())
        log_info(plan.name, ": no improvement of ", stopping.monitor(), " for ", plan.early_stopping.patience, " epochs, stopped early");
      if (average.epochs() > 0) {
        load_state(model, average.mean(), Strict::yes, "the mean of the weights");
        EpochRecord record;
        if (options.guide.on()) record.guide.emplace();
        phase.validate(record);
        phase.log_average(record, average.epochs());
      } else if (!plan.restore_best) {
        log_info(plan.name, ": weights of the last epoch, ", epoch, ", kept");
      } else if (stopping.best_epoch() >= 0) {
        load_best();
        log_info(plan.name, ": weights of epoch ", stopping.best_epoch() + 1, " restored (", stopping.monitor(), " ", std::fixed,
                 std::setprecision(3), stopping.best(), ")");
      }
      outcome.best_epoch.push_back(stopping.best_epoch());
      planned_before += plan.epochs;
    }
  } catch (const Interrupted&) {
    outcome.interrupted = true;
    outcome.best_restored = !best.empty();
    if (outcome.best_restored) load_best();
    return outcome;
  }
  // Otherwise the model would be left untrained without a word.
  DURA_CHECK(!saved, last.string(), ": the checkpoint is of the phase '", saved ? saved->phase : "",
             "', which has no epochs now. Resume with the settings of the run.");
  model.set_training(false);
  return outcome;
}

}  // namespace dura
