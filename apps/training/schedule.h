// The learning rate of every step of a phase: a factor after each epoch, a cosine with warm-up, or a smaller one wherever validation no
// longer improves.
#pragma once
#include <map>
#include <string>

#include "apps/training/early_stopping.h"

namespace dura {

struct ScheduleOptions {
  enum class Kind { decay, cosine, plateau } kind = Kind::decay;
  double decay = 1;                   // decay: factor after each epoch; 1: constant
  int64_t warmup_epochs = 0;          // cosine: epochs in which the rate rises from 0
  double plateau_factor = 0.5;        // plateau: factor after `patience` epochs without improvement
  EarlyStoppingOptions plateau = {};  // what is watched, and for how long
};

class Schedule {
 public:
  // Of a phase with so many epochs. UsageError where warm-up leaves no epoch.
  Schedule(const ScheduleOptions& options, double learning_rate, int64_t epochs);

  // decay: learning_rate * decay^epoch. cosine (Loshchilov and Hutter 2017, without restarts): with s the steps so far, w those of warm-up
  // and t all, learning_rate * (s+1)/w before w, then learning_rate/2 * (1 + cos(pi*(s-w)/(t-w))). plateau: the rate that is left.
  double rate(int64_t epoch, int64_t step, int64_t steps_per_epoch) const;
  // For plateau, as Keras' ReduceLROnPlateau: true where the rate becomes smaller. The value is that of the option's monitor.
  bool epoch_done(int64_t epoch, double value);

  // For checkpoints; the others have nothing to remember.
  std::map<std::string, std::string> state() const;
  void restore(const std::map<std::string, std::string>& state);

 private:
  ScheduleOptions options_;
  double learning_rate_;
  int64_t epochs_, reductions_ = 0;
  EarlyStopping waiting_;
};

}  // namespace dura
