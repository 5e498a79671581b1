#include "apps/training/fit.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <memory>

#include "apps/training/history.h"
#include "apps/training/prediction.h"
#include "apps/program/process_memory.h"
#include "apps/training/progress.h"
#include "apps/training/training_state.h"
#include "apps/metrics/score_curve.h"
#include "engine/base/log.h"
#include "weights/load.h"
#include "weights/safetensors.h"

namespace dura {
namespace {

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

double validation_auc(const Predictions& p) {
  double sum = 0;
  const int64_t scored = p.classes == 2 ? 1 : p.classes;
  for (int64_t c = 0; c < scored; ++c) {
    std::vector<bool> positive;
    std::vector<double> score;
    for (size_t i = 0; i < p.labels.size(); ++i) {
      positive.push_back(p.labels[i] == c);
      score.push_back(p.probabilities[i * static_cast<size_t>(p.classes) + static_cast<size_t>(c)]);
    }
    sum += roc_auc(positive, score);
  }
  return sum / static_cast<double>(scored);
}

void describe_validation(EpochRecord& r, const Predictions& p, const std::vector<double>& class_weights) {
  r.val_loss = log_loss(p.labels, p.logits, p.classes);
  r.val_loss_weighted = log_loss(p.labels, p.logits, p.classes, class_weights);
  r.val = confusion_of(p.labels, argmax_rows(p.logits, p.classes), p.classes);
  r.val_auc = validation_auc(p);
}

std::string percent(double v) {
  char text[16];
  std::snprintf(text, sizeof text, "%.3f", v);
  return text;
}

std::string class_scores(const Confusion& c, const std::vector<std::string>& classes) {
  std::string text;
  for (size_t i = 0; i < classes.size() && classes.size() <= 4; ++i) {
    const auto k = static_cast<int64_t>(i);
    text += "  " + classes[i] + " precision " + percent(c.precision(k)) + " recall " + percent(c.recall(k)) + " f1 " + percent(c.f1(k));
  }
  return text;
}

// One phase: what lives as long as the set of trainable parameters does.
class Phase {
 public:
  Phase(Classifier& model, const PhasePlan& plan, const std::vector<std::string>& fresh, const Dataset& train, const Dataset& val,
        const FitOptions& o)
      : stopping(plan.early_stopping), model_(model), plan_(plan), options_(o) {
    set_trainable(model, plan, fresh);
    model.set_training(true);
    AdamOptions adam_options = o.adam;
    adam_options.lr = plan.learning_rate;
    adam = std::make_unique<Adam>(model.parameters(), adam_options, o.scaler);
    const bool augmented = std::any_of(o.augment.begin(), o.augment.end(), [](const AugmentPolicy& p) { return !p.changes_nothing(); });
    train_loader_ = std::make_unique<Loader>(
        train, LoaderOptions{.batch_size = o.batch, .training = true, .seed = o.seed, .policies = o.augment, .items = o.items});
    val_loader_ = std::make_unique<Loader>(val, LoaderOptions{.batch_size = o.batch, .seed = o.seed, .policies = {}, .items = {}});
    if (o.feature_budget > 0) {
      val_cache_ = std::make_unique<FeatureCache>(model, o.feature_budget / 4);
      if (!augmented) train_cache_ = std::make_unique<FeatureCache>(model, o.feature_budget - o.feature_budget / 4);
      for (auto* cache : {&train_cache_, &val_cache_})
        if (*cache && (*cache)->stage() < 0) cache->reset();
    }
    if (train_cache_) fill_cache(train);
    make_step(train);
    if (!val_cache_) {
      // Before the first epoch: a validation for which there is no memory should not be found out after it.
      validation_ = std::make_unique<InferenceStep>(model, Shape{o.batch, val.height(), val.width(), 3}, o.capture);
      validation_->prepare();
    }
  }

  const std::string& name() const { return plan_.name; }
  std::unique_ptr<Adam> adam;
  EarlyStopping stopping;

  // False where the stop request came before the epoch was done.
  bool train_epoch(int64_t global_epoch, const Schedule& schedule, EpochRecord& record, const StopRequest& stop) {
    Progress progress(concat(plan_.name, " epoch ", record.epoch + 1, "/", plan_.epochs), train_loader_->rows_per_epoch());
    step_->reset_sums();
    int64_t done = 0, steps = 0;
    for (train_loader_->start_epoch(global_epoch); train_loader_->next(); ++steps) {
      if (stop.received()) return false;
      const Batch& batch = train_loader_->batch();
      const double rate = schedule.rate(record.epoch, steps, train_loader_->batches_per_epoch());
      if (steps == 0 || rate != record.learning_rate) adam->set_learning_rate(record.learning_rate = rate);
      if (train_cache_)
        step_->run(batch, train_cache_->features(batch.images, batch.samples));
      else
        step_->run(batch);
      done += batch.rows;
      progress.update(done, [&] {
        const TrainSums sums = step_->read_sums();
        const Confusion confusion(static_cast<int64_t>(model_.classes().size()), sums.confusion);
        return concat("loss ", percent(sums.loss / static_cast<double>(sums.images)), class_scores(confusion, model_.classes()));
      });
    }
    const TrainSums sums = step_->read_sums();
    record.train_loss = sums.loss / static_cast<double>(sums.images);
    record.train_loss_weighted = sums.weighted_loss / static_cast<double>(sums.images);
    record.train = Confusion(static_cast<int64_t>(model_.classes().size()), sums.confusion);
    record.images_per_second = static_cast<double>(done) / progress.seconds();
    record.seconds = progress.seconds();
    const std::vector<double> state = adam->read_state();
    record.loss_scale = state[StepState::loss_scale];
    record.skipped_steps = static_cast<int64_t>(state[StepState::skipped_steps]);
    return true;
  }

  void validate(EpochRecord& record) {
    const Progress clock("", 1);
    describe_validation(record, validation_ ? predict(*validation_, *val_loader_) : predict(model_, *val_loader_, *val_cache_),
                        options_.loss.class_weights);
    record.seconds += clock.seconds();
    const Device device = model_.options().backbone.tensors.device;
    const auto peak =
        device == Device::cpu ? static_cast<double>(peak_resident_bytes()) : static_cast<double>(device_pool(device)->statistics().peak);
    record.peak_memory_mib = peak / (1 << 20);
  }

  // What became of the prediction that was logged when the phase began.
  void log_memory() const {
    const CapturedStep& c = step_->captured();
    log_info(plan_.name, ": peak of a step: ", mebibytes(c.predicted_peak() + c.held_besides()), " MiB predicted, ",
             mebibytes(c.measured_peak() + c.held_besides()), " MiB used");
  }

 private:
  // In the order of the data set, so that features do not depend on the order in which training first asks for them.
  void fill_cache(const Dataset& train) {
    Loader in_order(train, {.batch_size = options_.batch, .seed = options_.seed, .policies = {}, .items = {}});
    Progress progress(concat(plan_.name, ": features of the frozen part"), in_order.rows_per_epoch());
    int64_t done = 0;
    for (in_order.start_epoch(0); in_order.next();) {
      train_cache_->features(in_order.batch().images, in_order.batch().samples);
      progress.update(done += in_order.batch().rows);
    }
    log_info(plan_.name, ": features of ", done, " images behind stage ", train_cache_->stage(), " kept (", train_cache_->bytes() >> 20,
             " MiB)");
  }

  void make_step(const Dataset& train) {
    const Shape images{options_.batch, train.height(), train.width(), 3};
    const Shape features = train_cache_ ? train_cache_->feature_shape(images) : Shape();
    step_ = std::make_unique<TrainStep>(model_, *adam, options_.loss, images, train_cache_ ? train_cache_->stage() + 1 : 0, features,
                                        options_.capture);
    const Device device = model_.options().backbone.tensors.device;
    if (device == Device::cuda) log_info(plan_.name, ": planning a step; cuDNN chooses and compiles its engines, which takes a while");
    step_->prepare();
    const CapturedStep& c = step_->captured();
    log_info(plan_.name, ": predicted peak of a step: ", mebibytes(c.predicted_peak() + c.held_besides()), " MiB, ",
             mebibytes(c.predicted_peak()), " of activations, gradients and workspace beside ", mebibytes(c.held_besides()),
             " of weights, optimizer and inputs; ", device_name(device), " has ", mebibytes(device_memory_bytes(device)), " MiB");
  }

  Classifier& model_;
  const PhasePlan& plan_;
  const FitOptions& options_;
  std::unique_ptr<Loader> train_loader_, val_loader_;
  std::unique_ptr<FeatureCache> train_cache_, val_cache_;  // null: nothing is kept
  std::unique_ptr<InferenceStep> validation_;              // without a cache
  std::unique_ptr<TrainStep> step_;
};

std::filesystem::path best_file(const FitOptions& o, const PhasePlan& plan) { return o.run / concat("best_", plan.name, ".safetensors"); }

void log_epoch(const EpochRecord& r, const PhasePlan& plan, const std::vector<std::string>& classes, bool improved) {
  log_info(r.phase, " epoch ", r.epoch + 1, "/", plan.epochs, "  train loss ", percent(r.train_loss), "  val loss ", percent(r.val_loss),
           "  val accuracy ", percent(r.val.accuracy()), class_scores(r.val, classes),
           r.skipped_steps > 0 ? concat("  ", r.skipped_steps, " steps skipped, loss scale ", r.loss_scale) : "", "  (",
           Progress::duration(r.seconds), ", ", percent(r.images_per_second), " images/s)", improved ? "  best so far" : "");
}

}  // namespace

void set_trainable(Classifier& model, const PhasePlan& plan, const std::vector<std::string>& fresh) {
  model.freeze_backbone();
  model.unfreeze(plan.unfreeze);
  for (ConvBn* u : model.backbone().units()) {
    if (!contains(fresh, u->conv.name())) continue;
    u->conv.weight.set_trainable(true);
    u->bn.gamma.set_trainable(true);
    u->bn.beta.set_trainable(true);
    u->bn.set_batch_statistics(plan.fresh_batch_statistics);
  }
}

FitOutcome fit(Classifier& model, const std::vector<std::string>& fresh, const Dataset& train, const Dataset& val,
               const FitOptions& options, const StopRequest& stop) {
  FitOutcome outcome;
  const std::filesystem::path last = options.run / "last.safetensors";
  std::unique_ptr<TrainingState> saved;
  if (options.resume && std::filesystem::exists(last)) {
    saved = std::make_unique<TrainingState>(read_training_state(last));
    log_info("resuming after ", saved->phase, " epoch ", saved->epoch + 1);
  }
  History history(options.run / "history.csv", model.classes(), saved ? saved->history_rows : 0);
  int64_t rows = saved ? saved->history_rows : 0, planned_before = 0;
  bool skipping = saved != nullptr;
  std::filesystem::path best;  // the weights to be left with where the next phase has none that are better

  for (const PhasePlan& plan : options.phases) {
    const bool resumed = skipping && saved->phase == plan.name;
    if (plan.epochs == 0 || (skipping && !resumed)) {
      if (skipping && std::filesystem::exists(best_file(options, plan))) best = best_file(options, plan);
      planned_before += plan.epochs;
      continue;
    }
    skipping = false;
    if (resumed) restore_model(model, *saved, last.string());
    Phase phase(model, plan, fresh, train, val, options);
    Schedule schedule(plan.schedule, plan.learning_rate, plan.epochs);
    int64_t epoch = 0;
    if (resumed) {
      restore_optimizer(*phase.adam, *saved, last.string());
      phase.stopping.restore(saved->early_stopping);
      schedule.restore(saved->schedule);
      epoch = saved->epoch + 1;
    }
    log_info(plan.name, ": Adam, learning rate ", plan.learning_rate, ", ", model.trainable_numel(), " parameters free, moments ",
             resumed ? "restored" : "reset");
    for (; epoch < plan.epochs && !phase.stopping.should_stop(); ++epoch) {
      EpochRecord record{.phase = plan.name, .epoch = epoch};
      if (!phase.train_epoch(planned_before + epoch, schedule, record, stop)) {
        outcome.interrupted = true;
        best = phase.stopping.best_epoch() >= 0 ? best_file(options, plan) : best;
        outcome.best_restored = !best.empty();
        if (outcome.best_restored) load_state(model, read_safetensors(best), Strict::yes, best.string());
        return outcome;
      }
      phase.validate(record);
      const bool improved = phase.stopping.update(epoch, record.value(plan.early_stopping.monitor, model.classes()));
      if (improved) write_safetensors(best_file(options, plan), state_of(model));
      if (plan.schedule.kind == ScheduleOptions::Kind::plateau &&
          schedule.epoch_done(epoch, record.value(plan.schedule.plateau.monitor, model.classes())))
        log_info(plan.name, ": no improvement of ", plan.schedule.plateau.monitor, " for ", plan.schedule.plateau.patience,
                 " epochs, learning rate times ", plan.schedule.plateau_factor);
      history.add(record);
      write_training_state(last, model, *phase.adam,
                           {.phase = plan.name,
                            .epoch = epoch,
                            .history_rows = ++rows,
                            .early_stopping = phase.stopping.state(),
                            .schedule = schedule.state(),
                            .arrays = {}});
      log_epoch(record, plan, model.classes(), improved);
    }
    phase.log_memory();
    if (phase.stopping.should_stop())
      log_info(plan.name, ": no improvement of ", phase.stopping.monitor(), " for ", plan.early_stopping.patience,
               " epochs, stopped early");
    if (phase.stopping.best_epoch() >= 0) best = best_file(options, plan);
    if (!plan.restore_best) {
      log_info(plan.name, ": weights of the last epoch, ", epoch, ", kept");
    } else if (phase.stopping.best_epoch() >= 0) {
      load_state(model, read_safetensors(best), Strict::yes, best.string());
      log_info(plan.name, ": weights of epoch ", phase.stopping.best_epoch() + 1, " restored (", phase.stopping.monitor(), " ",
               percent(phase.stopping.best()), ")");
    }
    outcome.best_epoch.push_back(phase.stopping.best_epoch());
    planned_before += plan.epochs;
  }
  // Otherwise the model would be left untrained without a word.
  DURA_CHECK(!skipping, last.string(), ": the checkpoint is of the phase '", saved ? saved->phase : "",
             "', which has no epochs now. Resume with the settings of the run.");
  model.set_training(false);
  return outcome;
}

}  // namespace dura
