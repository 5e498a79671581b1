// Which learning rate? A sweep (Smith 2017, "Cyclical learning rates", section 3.3): every step of training has a larger rate than the one
// before, and the loss tells where learning begins and where it breaks.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "apps/training/phase.h"

namespace dura {

struct LrSweepOptions {
  double lowest = 1e-7, highest = 1;  // of the first and the last step, in equal ratios
  int64_t steps = 200;
  double smoothing = 0.95;  // of the exponential mean of losses, its beginning corrected as Adam's moments are
};

struct LrSweep {
  std::vector<double> rates, losses, smoothed;  // of each step that was made: the loss that is minimised, before the step
  bool diverged = false;                        // stopped early: the smoothed loss passed four times its lowest, or is no number
  bool interrupted = false;

  int64_t lowest() const;  // the step with the lowest smoothed loss; -1: there is none
  // A tenth of the rate with the lowest smoothed loss: there the loss still falls. NaN where the loss never fell by 2 %.
  double suggestion() const;
};

// Trains what `plan` frees, and gives the model back with the weights it had. `fresh` as in fit().
LrSweep sweep_learning_rates(Classifier& model, const PhasePlan& plan, const std::vector<std::string>& fresh, const Dataset& train,
                             const FitOptions& fit_options, const LrSweepOptions& options, const StopRequest& stop);

// lr_finder.csv (step,learning_rate,loss,smoothed_loss), lr_finder.json and lr_finder.html, a page that needs nothing else. `phase`: what
// was free to learn.
void write_lr_finder(const std::filesystem::path& folder, const std::string& phase, const LrSweep& sweep);
// One or two sentences.
std::string lr_finder_text(const LrSweep& sweep);

}  // namespace dura
