#include "apps/training/early_stopping.h"

#include <bit>
#include <limits>

#include "engine/base/check.h"
#include "engine/base/text.h"

namespace dura {
namespace {

bool maximised(const std::string& monitor) {
  if (monitor.find("loss") != std::string::npos) return false;
  for (const char* metric : {"f1", "precision", "recall", "accuracy", "auc"})
    if (monitor.find(metric) != std::string::npos) return true;
  fail_usage(
      "early stopping: is '", monitor,
      "' to be minimised or maximised? Watch val_loss, val_accuracy, val_auc, or val_f1_, val_precision_, val_recall_ with a class.");
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

}  // namespace dura
