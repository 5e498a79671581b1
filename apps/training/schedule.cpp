#include "apps/training/schedule.h"

#include <bit>
#include <cmath>
#include <limits>
#include <numbers>

#include "engine/base/check.h"
#include "engine/base/text.h"

namespace dura {

namespace {

bool maximised(const std::string& monitor) {
  if (monitor.find("loss") != std::string::npos) return false;
  for (const char* metric : {"f1", "precision", "recall", "accuracy", "auc", "hit", "energy"})
    if (monitor.find(metric) != std::string::npos) return true;
  fail_usage(
      "early stopping: is '", monitor,
      "' to be minimised or maximised? Watch val_loss, val_accuracy, val_auc, or val_f1_, val_precision_, val_recall_ with a class; with "
      "--guide val_hit or val_energy.");
}

template <class T>
T integer(const std::map<std::string, std::string>& state, const char* key) {
  const auto found = state.find(key);
  DURA_CHECK(found != state.end(), "early stopping: the saved state has no '", key,
             "'. The checkpoint is from another version; begin a new run.");
  const std::string& text = found->second;
  const std::optional<T> value = parse_number<T>(text);
  DURA_CHECK(value, "early stopping: the saved state's '", key, "' is '", text,
             "', no number. The checkpoint is damaged; begin a new run.");
  return *value;
}

}  // namespace

EarlyStopping::EarlyStopping(const EarlyStoppingOptions& options)
    : options_(options),
      maximise_(maximised(options.monitor)),
      best_(maximise_ ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity()) {
  if (options.patience < 0 || !(options.min_delta >= 0))
    fail_usage("early stopping: patience ", options.patience, " and min_delta ", options.min_delta, " must not be negative");
}

bool EarlyStopping::update(int64_t epoch, double value) {
  const bool improved = maximise_ ? value - options_.min_delta > best_ : value + options_.min_delta < best_;
  ++wait_;
  if (improved) {
    best_ = value;
    best_epoch_ = epoch;
    wait_ = 0;
  } else if (options_.patience > 0 && wait_ >= options_.patience && epoch > 0) {
    stop_ = true;
  }
  return improved;
}

std::map<std::string, std::string> EarlyStopping::state() const {
  return {{"monitor", options_.monitor},
          {"best_bits", std::to_string(std::bit_cast<uint64_t>(best_))},
          {"best_epoch", std::to_string(best_epoch_)},
          {"wait", std::to_string(wait_)},
          {"stop", stop_ ? "1" : "0"}};
}

void EarlyStopping::restore(const std::map<std::string, std::string>& state) {
  const auto monitor = state.find("monitor");
  DURA_CHECK(monitor != state.end() && monitor->second == options_.monitor, "early stopping: the saved run watched '",
             monitor == state.end() ? "" : monitor->second, "', this one watches '", options_.monitor, "'. Resume with the same monitor.");
  best_ = std::bit_cast<double>(integer<uint64_t>(state, "best_bits"));
  best_epoch_ = integer<int64_t>(state, "best_epoch");
  wait_ = integer<int64_t>(state, "wait");
  stop_ = integer<int64_t>(state, "stop") != 0;
}

Schedule::Schedule(const ScheduleOptions& options, double learning_rate, int64_t epochs)
    : options_(options), learning_rate_(learning_rate), epochs_(epochs), waiting_(options.plateau) {
  if (options.kind == ScheduleOptions::Kind::cosine && options.warmup_epochs >= epochs)
    fail_usage("--warmup-epochs ", options.warmup_epochs, " leaves nothing of a phase with ", epochs, " epochs");
}

double Schedule::rate(int64_t epoch, int64_t step, int64_t steps_per_epoch) const {
  switch (options_.kind) {
    case ScheduleOptions::Kind::decay:
      return learning_rate_ * std::pow(options_.decay, static_cast<double>(epoch));
    case ScheduleOptions::Kind::plateau:
      return learning_rate_ * std::pow(options_.plateau_factor, static_cast<double>(reductions_));
    case ScheduleOptions::Kind::cosine:
      break;
  }
  const int64_t done = epoch * steps_per_epoch + step, warmup = options_.warmup_epochs * steps_per_epoch;
  if (done < warmup) return learning_rate_ * static_cast<double>(done + 1) / static_cast<double>(warmup);
  const double share = static_cast<double>(done - warmup) / static_cast<double>(epochs_ * steps_per_epoch - warmup);
  return learning_rate_ * 0.5 * (1 + std::cos(std::numbers::pi * share));
}

bool Schedule::epoch_done(int64_t epoch, double value) {
  waiting_.update(epoch, value);
  if (!waiting_.should_stop()) return false;
  waiting_.wait_again();
  ++reductions_;
  return true;
}

std::map<std::string, std::string> Schedule::state() const {
  if (options_.kind != ScheduleOptions::Kind::plateau) return {};
  std::map<std::string, std::string> all = waiting_.state();
  all["reductions"] = std::to_string(reductions_);
  return all;
}

void Schedule::restore(const std::map<std::string, std::string>& state) {
  if (options_.kind != ScheduleOptions::Kind::plateau) return;
  const auto found = state.find("reductions");
  const std::string text = found == state.end() ? "" : found->second;
  const auto reductions = parse_number<decltype(reductions_)>(text);
  DURA_CHECK(reductions, "schedule: the checkpoint's 'reductions' is '", text,
             "', no number. The checkpoint is of another schedule, or damaged; begin a new run.");
  reductions_ = *reductions;
  waiting_.restore(state);
}

}  // namespace dura
