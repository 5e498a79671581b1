// When a phase ends, and which learning rate an epoch has.
#pragma once
#include <cstdint>
#include <map>
#include <string>

namespace dura {

// Keras' EarlyStopping: stop when a watched value has not improved for `patience` epochs, and know which epoch was best, so that its
// weights can be restored whatever ends the run.

struct EarlyStoppingOptions {
  std::string monitor = "val_loss";  // a column of the history
  double min_delta = 0;              // smaller improvements do not count
  int64_t patience = 0;              // epochs without improvement before stopping; 0: never stop, only remember the best
};

class EarlyStopping {
 public:
  // Losses are minimised; f1, precision, recall, accuracy, auc, hit and energy are maximised. UsageError for any other monitor, a negative
  // patience or min_delta.
  explicit EarlyStopping(const EarlyStoppingOptions& options);

  // After each epoch: true where the value is the best so far, by more than min_delta. NaN never is.
  bool update(int64_t epoch, double value);
  // wait >= patience, and never after the first epoch.
  bool should_stop() const { return stop_; }
  // Goes on after a stop: another `patience` epochs for a value that is better than the best so far.
  void wait_again() { wait_ = 0, stop_ = false; }
  int64_t best_epoch() const { return best_epoch_; }  // -1: none yet
  double best() const { return best_; }
  const std::string& monitor() const { return options_.monitor; }

  // For checkpoints: exact, NaN and infinity included.
  std::map<std::string, std::string> state() const;
  void restore(const std::map<std::string, std::string>& state);

 private:
  EarlyStoppingOptions options_;
  bool maximise_;
  double best_;
  int64_t best_epoch_ = -1, wait_ = 0;
  bool stop_ = false;
};

// The learning rate of every step of a phase: a factor after each epoch, a cosine with warm-up, or a smaller one wherever validation no
// longer improves.
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
