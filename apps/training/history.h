// history.csv: one row per epoch, written (beside, synced, renamed) after each, so that a killed run leaves whole rows. Numbers have all
// their digits.
#pragma once
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "apps/metrics/metrics.h"

namespace dura {

// Of a guided training; NaN where no slice has a lesion.
struct GuideRecord {
  double loss = NAN;               // the mean of cam_energy's 1 - t/s over the training slices that counted
  double hit = NAN, energy = NAN;  // of the maps of validation
};

struct EpochRecord {
  std::string phase;
  int64_t epoch = 0;         // from 0 in each phase
  double learning_rate = 0;  // of the last step
  double train_loss = 0, train_loss_weighted = 0, val_loss = 0, val_loss_weighted = 0;
  Confusion train = Confusion(0), val = Confusion(0);
  double val_auc = 0;            // two classes: of the first; else the mean over classes, each against the rest
  double seconds = 0;            // of training and validation
  double images_per_second = 0;  // of training
  double peak_memory_mib = 0;    // so far: of the process, or, on a CUDA device, of its tensors
  double loss_scale = 1;
  int64_t skipped_steps = 0;
  std::optional<GuideRecord> guide = {};

  // The value of a monitor: val_loss, val_accuracy, val_auc, val_f1 (mean over classes), val_f1_<class> ..., with a guide
  // val_hit and val_energy. UsageError for any other name.
  double value(const std::string& monitor, const std::vector<std::string>& classes) const;
};

// Whether a monitor is a score of heat maps, which only a guided training has.
bool watches_maps(const std::string& monitor);

class History {
 public:
  // Begins a new file, or, resuming, keeps the first `keep` rows of the one that is there.
  // `guided`: rows end with what GuideRecord holds.
  History(std::filesystem::path file, std::vector<std::string> classes, bool guided = false, int64_t keep = 0);
  void add(const EpochRecord& record);

 private:
  std::filesystem::path file_;
  std::vector<std::string> classes_;
  std::string text_;
};

}  // namespace dura
