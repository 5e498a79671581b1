// Keras' EarlyStopping: stop when a watched value has not improved for `patience` epochs, and know which epoch was best, so that its
// weights can be restored whatever ends the run.
#pragma once
#include <cstdint>
#include <map>
#include <string>

namespace dura {

struct EarlyStoppingOptions {
  std::string monitor = "val_loss";  // a column of the history
  double min_delta = 0;              // smaller improvements do not count
  int64_t patience = 0;              // epochs without improvement before stopping; 0: never stop, only remember the best
};

class EarlyStopping {
 public:
  // Losses are minimised; f1, precision, recall, accuracy and auc are maximised. UsageError for any other monitor, a negative patience or
  // min_delta.
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

}  // namespace dura
