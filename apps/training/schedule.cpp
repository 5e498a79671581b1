#include "apps/training/schedule.h"

#include <cmath>
#include <numbers>

#include "engine/base/check.h"
#include "engine/base/text.h"

namespace dura {

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
