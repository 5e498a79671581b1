#include "apps/training/phase.h"

#include <algorithm>
#include <iomanip>

#include "apps/metrics/score_curve.h"
#include "apps/program/process.h"
#include "apps/training/progress.h"
#include "engine/base/log.h"
#include "engine/base/numbers.h"

namespace dura {
namespace {

std::string three_digits(double v) { return concat(std::fixed, std::setprecision(3), v); }

// "  Menin precision 0.912 recall 0.803 f1 0.854  Glioma ..."; empty for more than four classes.
std::string class_scores(const Confusion& c, const std::vector<std::string>& classes) {
  std::string text;
  for (int64_t k = 0; k < std::ssize(classes) && classes.size() <= 4; ++k)
    text += "  " + classes[static_cast<size_t>(k)] + " precision " + three_digits(c.precision(k)) + " recall " + three_digits(c.recall(k)) +
            " f1 " + three_digits(c.f1(k));
  return text;
}

// Two classes: of the first; else the mean over classes.
double validation_auc(const Predictions& p) {
  double sum = 0;
  const int64_t scored = p.classes == 2 ? 1 : p.classes;
  for (int64_t c = 0; c < scored; ++c) sum += OneAgainstRest(p.labels, p.probabilities, p.classes, c).curve().roc_auc();
  return sum / static_cast<double>(scored);
}

}  // namespace

bool stop_of_any(const StopRequest& stop, Communicator& ranks) {
  const auto signal = static_cast<int>(ranks.largest(stop.signal()));
  if (signal != 0) stop.came_to_another(signal);
  return signal != 0;
}

void heed_stop(const StopRequest& stop, Communicator& ranks) {
  if (stop_of_any(stop, ranks)) throw Interrupted();
}

void set_trainable(Classifier& model, const PhasePlan& plan, const std::vector<std::string>& fresh) {
  model.freeze_backbone();
  model.unfreeze(plan.unfreeze);
  for (ConvBn* u : model.backbone().units()) {
    if (std::find(fresh.begin(), fresh.end(), u->conv.name()) == fresh.end()) continue;
    u->set_trainable(true);
    u->bn.set_batch_statistics(plan.fresh_batch_statistics);
  }
}

LoaderOptions FitOptions::training_loader(const LesionGrid& lesions) const {
  return {.batch_size = batch,
          .training = true,
          .repeat = augment_repeat,
          .seed = seed,
          .policies = augment,
          .items = items,
          .lesions = lesions,
          .part = step.ranks->rank(),
          .parts = step.ranks->size()};
}

LossOptions FitOptions::loss_on(Classifier& model, const PhasePlan& plan, const Dataset& train) const {
  LossOptions guided = loss;
  if (guide.on() && plan.guided) guided.guide = guide.strength, guided.lesions = guided_cells(model, train, guide);
  return guided;
}

LoaderOptions FitOptions::ordered_loader(const Dataset& dataset) const {
  return own_batches(dataset, {.batch_size = rows_at_once(), .seed = seed, .policies = {}, .items = {}}, *step.ranks);
}

LoaderOptions FitOptions::ordered_training_loader(const Dataset& train) const {
  return own_batches(train,
                     {.batch_size = rows_at_once(),
                      .repeat = augment_repeat,
                      .pictures_of_training = true,
                      .seed = seed,
                      .policies = augment,
                      .items = items},
                     *step.ranks);
}

Phase::Phase(Classifier& model, const PhasePlan& plan, const std::vector<std::string>& fresh, const Dataset& train, const Dataset& val,
             const FitOptions& o, const StopRequest& stop)
    : model_(model), val_(val), plan_(plan), options_(o), stop_(stop) {
  set_trainable(model, plan, fresh);
  model.set_training(true);
  AdamOptions adam_options = o.adam;
  adam_options.lr = plan.learning_rate;
  adam_ = std::make_unique<Adam>(model.parameters(), adam_options, o.scaler);
  const bool augmented = std::any_of(o.augment.begin(), o.augment.end(), [](const AugmentPolicy& p) { return !p.changes_nothing(); });
  const LossOptions loss = o.loss_on(model, plan, train);
  const LoaderOptions own_validation = o.ordered_loader(val);
  if (!own_validation.items.empty()) val_loader_ = std::make_unique<Loader>(val, own_validation);
  if (o.feature_budget > 0 && last_frozen_stage(model) >= 0) {
    val_cache_ = std::make_unique<FeatureCache>(model, o.feature_budget / 4);
    if (!augmented || o.augment_repeat > 0) train_cache_ = std::make_unique<FeatureCache>(model, o.feature_budget - o.feature_budget / 4);
  }
  if (train_cache_) fill_cache(train, augmented);
  make_step(train, loss);
  if (!val_cache_) {
    // Before the first epoch: a validation for which there is no memory should not be found out after it.
    validation_ =
        std::make_unique<InferenceStep>(model, Shape{o.rows_at_once(), val.height(), val.width(), 3}, o.step.capture, o.guide.on());
    validation_->prepare();
  }
  LoaderOptions loader = o.training_loader(loss.lesions);
  if (!train_cache_ && o.device_augments && !host_readable(model.options().backbone.tensors.device)) {
    keep_pictures(train);
    loader.raw_from = pictures_->kept();
  }
  train_loader_ = std::make_unique<Loader>(train, loader);
}

// In what the planned steps have left.
void Phase::keep_pictures(const Dataset& train) {
  const Device device = model_.options().backbone.tensors.device;
  const size_t all = device_memory_bytes(device), used = device_pool(device)->statistics().in_use;
  const size_t budget =
      options_.device_picture_bytes >= 0 ? static_cast<size_t>(options_.device_picture_bytes) : (all > used ? (all - used) / 2 : 0);
  pictures_ = std::make_unique<DevicePictures>(train, device, options_.rows_at_once(), budget);
  log_info(plan_.name, ": ", device_name(device), " augments pictures and keeps ", pictures_->kept(), " of ", train.size(), " (",
           mebibytes(pictures_->bytes()), " MiB)");
}

// In the order of the data set, so that features do not depend on the order in which training first asks for them.
void Phase::fill_cache(const Dataset& train, bool augmented) {
  Communicator& ranks = *options_.step.ranks;
  const LoaderOptions own = augmented ? options_.ordered_training_loader(train) : options_.ordered_loader(train);
  const int64_t epochs = augmented ? options_.augment_repeat : 1;
  const int64_t images = augmented && !options_.items.empty() ? std::ssize(options_.items) : train.size();
  std::unique_ptr<Loader> in_order;
  if (!own.items.empty()) in_order = std::make_unique<Loader>(train, own);
  // All processes make as many rounds as the one with the most batches.
  const int64_t batches = ceil_div(images, own.batch_size), rounds = ceil_div(batches, ranks.size());
  const Shape shape = train_cache_->feature_shape({own.batch_size, train.height(), train.width(), 3});
  Progress progress(concat(plan_.name, ": features of the frozen part"), images * epochs);
  for (int64_t epoch = 0; epoch < epochs; ++epoch) {
    if (in_order) in_order->start_epoch(epoch);
    for (int64_t round = 0; round < rounds; ++round) {
      heed_stop(stop_, ranks);
      if (in_order && in_order->next())
        train_cache_->fill(in_order->batch().images, in_order->batch().pictures, shape, ranks);
      else
        train_cache_->fill({}, {}, shape, ranks);
      progress.update(epoch * images + std::min((round + 1) * ranks.size() * own.batch_size, images));
    }
  }
  log_info(plan_.name, ": features of ", images * epochs, " pictures behind stage ", train_cache_->stage(), " kept (",
           train_cache_->bytes() >> 20, " MiB)");
}

void Phase::make_step(const Dataset& train, const LossOptions& loss) {
  const Shape images{options_.rows_at_once(), train.height(), train.width(), 3};
  TrainStepOptions options = options_.step;
  if (train_cache_) options.first_stage = train_cache_->stage() + 1;
  step_ = std::make_unique<TrainStep>(model_, *adam_, loss, train_cache_ ? train_cache_->feature_shape(images) : images, options);
  const Device device = model_.options().backbone.tensors.device;
  if (backend(device).workspace_is_slow())
    log_info(plan_.name, ": planning a step; cuDNN chooses and compiles its engines, which takes a while");
  step_->prepare();
  const CapturedStep& c = step_->captured();
  log_info(plan_.name,
           options_.step.lanes > 1 ? concat(": ", options_.step.lanes, " lanes; predicted peak of one: ") : ": predicted peak of a step: ",
           mebibytes(c.predicted_peak() + c.held_besides()), " MiB, ", mebibytes(c.predicted_peak()),
           " of activations, gradients and workspace beside ", mebibytes(c.held_besides()), " of weights, optimizer and inputs; ",
           device_name(device), " has ", mebibytes(device_memory_bytes(device)), " MiB");
}

void Phase::train_epoch(int64_t global_epoch, const Schedule& schedule, EpochRecord& record) {
  Progress progress(concat(plan_.name, " epoch ", record.epoch + 1, "/", plan_.epochs), train_loader_->rows_per_epoch());
  const auto confusion = [&](const TrainSums& sums) { return Confusion(std::ssize(model_.classes()), sums.confusion); };
  step_->reset_sums();
  int64_t done = 0, steps = 0;
  for (train_loader_->start_epoch(global_epoch); train_loader_->next(); ++steps) {
    heed_stop(stop_, *options_.step.ranks);
    const Batch& batch = train_loader_->batch();
    const double rate = schedule.rate(record.epoch, steps, train_loader_->batches_per_epoch());
    if (steps == 0 || rate != record.learning_rate) adam_->set_learning_rate(record.learning_rate = rate);
    step_->run(
        batch, [&](const Tensor& images, const std::vector<int64_t>& pictures) { return train_cache_->features(images, pictures); },
        pictures_.get());
    done += batch.rows;
    progress.update(done, [&] {
      const TrainSums sums = step_->read_sums();
      return concat("loss ", three_digits(sums.loss / static_cast<double>(sums.images)),
                    record.guide && plan_.guided ? concat("  guide ", three_digits(sums.guide_loss())) : "",
                    class_scores(confusion(sums), model_.classes()));
    });
  }
  step_->share_statistics();
  const TrainSums sums = step_->read_sums_of_all();
  record.train_loss = sums.loss / static_cast<double>(sums.images);
  record.train_loss_weighted = sums.weighted_loss / static_cast<double>(sums.images);
  record.train = confusion(sums);
  if (record.guide) record.guide->loss = sums.guide_loss();
  record.images_per_second = static_cast<double>(done) / progress.seconds();
  record.seconds = progress.seconds();
  const std::vector<double> state = adam_->read_state();
  record.loss_scale = state[StepState::loss_scale];
  record.skipped_steps = static_cast<int64_t>(state[StepState::skipped_steps]);
}

Predictions Phase::predict_validation(const FeatureUse& use) {
  Communicator& ranks = *options_.step.ranks;
  // All processes heed requests as often as the one with the most batches does.
  int64_t left = ceil_div(ceil_div(val_.size(), options_.rows_at_once()), ranks.size());
  const auto heed = [&] {
    heed_stop(stop_, ranks);
    --left;
  };
  Predictions own{.classes = std::ssize(model_.classes()), .samples = {}, .labels = {}, .logits = {}, .probabilities = {}};
  if (val_loader_)
    own = validation_ ? predict(*validation_, *val_loader_, use, heed) : predict(model_, *val_loader_, *val_cache_, use, heed);
  while (left > 0) heed();
  return gathered(own, ranks);
}

void Phase::validate(EpochRecord& r) {
  const Progress clock("", 1);
  MapWatch maps(model_, val_, options_.guide);
  FeatureUse watch;
  if (r.guide) watch = [&](const Batch& batch, const Tensor& features) { maps.add(batch, features); };
  const Predictions p = predict_validation(watch);
  if (r.guide) maps.gather(*options_.step.ranks), r.guide->hit = maps.hit_rate(), r.guide->energy = maps.energy();
  r.val_loss = log_loss(p.labels, p.logits, p.classes);
  r.val_loss_weighted = log_loss(p.labels, p.logits, p.classes, options_.loss.class_weights);
  r.val = confusion_of(p.labels, argmax_rows(p.logits, p.classes), p.classes);
  r.val_auc = validation_auc(p);
  r.seconds += clock.seconds();
  const Device device = model_.options().backbone.tensors.device;
  const auto peak =
      device == Device::cpu ? static_cast<double>(peak_resident_bytes()) : static_cast<double>(device_pool(device)->statistics().peak);
  r.peak_memory_mib = peak / (1 << 20);
}

std::string Phase::validation_text(const EpochRecord& r) const {
  return concat("  val loss ", three_digits(r.val_loss), "  val accuracy ", three_digits(r.val.accuracy()),
                class_scores(r.val, model_.classes()),
                r.guide ? concat("  val hit ", three_digits(r.guide->hit), " energy ", three_digits(r.guide->energy)) : "");
}

void Phase::log_average(const EpochRecord& validated, int64_t epochs) const {
  log_info(plan_.name, ": mean of the weights after its last ", epochs, " epochs kept", validation_text(validated));
}

void Phase::log_epoch(const EpochRecord& r, bool improved) const {
  log_info(r.phase, " epoch ", r.epoch + 1, "/", plan_.epochs, "  train loss ", three_digits(r.train_loss),
           r.guide && plan_.guided ? concat("  guide ", three_digits(r.guide->loss)) : "", validation_text(r),
           r.skipped_steps > 0 ? concat("  ", r.skipped_steps, " steps skipped, loss scale ", r.loss_scale) : "", "  (",
           Progress::duration(r.seconds), ", ", three_digits(r.images_per_second), " images/s)", improved ? "  best so far" : "");
}

void Phase::log_memory() const {
  const CapturedStep& c = step_->captured();
  log_info(plan_.name, ": peak of a step: ", mebibytes(c.predicted_peak() + c.held_besides()), " MiB predicted, ",
           mebibytes(c.measured_peak() + c.held_besides()), " MiB used");
}

}  // namespace dura
